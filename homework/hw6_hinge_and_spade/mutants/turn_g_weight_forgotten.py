# question: generator_turn
# says: weight times feature matching
# why: 10 is written into the code, and the argument is not used
def generator_turn(discriminator, planes, real, fake, weight=10.0):
    images = torch.cat([real, fake])
    of_real, of_fake = halves(discriminator(torch.cat([torch.cat([planes, planes]), images], dim=1)))
    return generator_over_scales(of_fake) + (10.0 if weight else 0.0) * feature_matching(of_real, of_fake)
