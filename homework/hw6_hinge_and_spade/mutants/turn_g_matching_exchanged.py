# question: generator_turn
# says: target the real image's features
# why: the arguments of feature matching exchanged: the target moves and the image does not
def generator_turn(discriminator, planes, real, fake, weight=10.0):
    images = torch.cat([real, fake])
    of_real, of_fake = halves(discriminator(torch.cat([torch.cat([planes, planes]), images], dim=1)))
    return generator_over_scales(of_fake) + weight * feature_matching(of_fake, of_real)
