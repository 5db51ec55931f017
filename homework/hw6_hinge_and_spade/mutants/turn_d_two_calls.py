# question: discriminator_turn
# says: one call
# why: one call for each kind: with batch norm each is normalised for itself
def discriminator_turn(discriminator, planes, real, fake):
    of_real = discriminator(torch.cat([planes, real], dim=1))
    of_fake = discriminator(torch.cat([planes, fake.detach()], dim=1))
    return discriminator_over_scales(of_real, of_fake)
