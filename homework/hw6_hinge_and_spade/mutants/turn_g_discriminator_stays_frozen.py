# question: generator_turn
# says: stays frozen
# why: the discriminator is frozen for this turn and never thawed
def generator_turn(discriminator, planes, real, fake, weight=10.0):
    discriminator.requires_grad_(False)
    images = torch.cat([real, fake])
    of_real, of_fake = halves(discriminator(torch.cat([torch.cat([planes, planes]), images], dim=1)))
    return generator_over_scales(of_fake) + weight * feature_matching(of_real, of_fake)
