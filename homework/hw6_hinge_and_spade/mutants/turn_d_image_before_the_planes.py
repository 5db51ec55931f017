# question: discriminator_turn
# says: planes first
# why: the image's channels stand before the planes
def discriminator_turn(discriminator, planes, real, fake):
    images = torch.cat([real, fake.detach()])
    of_real, of_fake = halves(discriminator(torch.cat([images, torch.cat([planes, planes])], dim=1)))
    return discriminator_over_scales(of_real, of_fake)
