# question: discriminator_turn
# says: not shown the label map
# why: zeros in place of the planes: the condition is ignored
def discriminator_turn(discriminator, planes, real, fake):
    images, empty = torch.cat([real, fake.detach()]), torch.zeros_like(torch.cat([planes, planes]))
    of_real, of_fake = halves(discriminator(torch.cat([empty, images], dim=1)))
    return discriminator_over_scales(of_real, of_fake)
