# question: generator_turn
# says: do not detach
# why: the detach of the discriminator's turn, copied along
def generator_turn(discriminator, planes, real, fake, weight=10.0):
    images = torch.cat([real, fake.detach()])
    of_real, of_fake = halves(discriminator(torch.cat([torch.cat([planes, planes]), images], dim=1)))
    return generator_over_scales(of_fake) + weight * feature_matching(of_real, of_fake)
