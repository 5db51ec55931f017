# question: discriminator_turn
# says: detach them
# why: the generated images keep their way back
def discriminator_turn(discriminator, planes, real, fake):
    images = torch.cat([real, fake])
    of_real, of_fake = halves(discriminator(torch.cat([torch.cat([planes, planes]), images], dim=1)))
    return discriminator_over_scales(of_real, of_fake)
