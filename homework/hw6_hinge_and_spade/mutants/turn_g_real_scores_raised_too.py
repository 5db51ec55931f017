# question: generator_turn
# says: of the generated images
# why: the cost of all scores, real ones included
def generator_turn(discriminator, planes, real, fake, weight=10.0):
    images = torch.cat([real, fake])
    outputs = discriminator(torch.cat([torch.cat([planes, planes]), images], dim=1))
    of_real, of_fake = halves(outputs)
    return generator_over_scales(outputs) + weight * feature_matching(of_real, of_fake)
