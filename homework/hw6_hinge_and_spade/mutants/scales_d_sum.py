# question: discriminator_over_scales
# says: not their sum
# why: the sum over the scales, as in pix2pixHD
def discriminator_over_scales(real_outputs, fake_outputs):
    pairs = zip(real_outputs, fake_outputs, strict=True)
    return sum(hinge_discriminator(real[-1], fake[-1]) for real, fake in pairs)
