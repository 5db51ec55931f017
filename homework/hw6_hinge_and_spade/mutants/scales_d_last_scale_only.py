# question: discriminator_over_scales
# says: outputs[-1] is the last scale
# why: outputs[-1][-1], the coarsest scale alone
def discriminator_over_scales(real_outputs, fake_outputs):
    return hinge_discriminator(real_outputs[-1][-1], fake_outputs[-1][-1])
