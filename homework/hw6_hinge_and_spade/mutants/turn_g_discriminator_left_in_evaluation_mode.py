# question: generator_turn
# says: evaluation mode
# why: eval() so that the generator's turn leaves no trace in batch norm, and no way back
def generator_turn(discriminator, planes, real, fake, weight=10.0):
    images = torch.cat([real, fake])
    of_real, of_fake = halves(discriminator(torch.cat([torch.cat([planes, planes]), images], dim=1)))
    discriminator.eval()
    return generator_over_scales(of_fake) + weight * feature_matching(of_real, of_fake)
