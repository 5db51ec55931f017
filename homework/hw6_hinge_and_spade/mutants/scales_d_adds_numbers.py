# question: discriminator_over_scales
# says: no .item()
# why: the costs of the scales are added up as floats
def discriminator_over_scales(real_outputs, fake_outputs):
    total = 0.0
    for real, fake in zip(real_outputs, fake_outputs, strict=True):
        total += hinge_discriminator(real[-1], fake[-1]).item() / len(real_outputs)
    return total
