# question: discriminator_turn
# says: not the outputs
# why: the discriminator is called under no_grad
def discriminator_turn(discriminator, planes, real, fake):
    images = torch.cat([real, fake])
    with torch.no_grad():
        outputs = discriminator(torch.cat([torch.cat([planes, planes]), images], dim=1))
    return discriminator_over_scales(*halves(outputs))
