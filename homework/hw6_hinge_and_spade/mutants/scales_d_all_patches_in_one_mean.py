# question: discriminator_over_scales
# says: more votes
# why: the patches of all scales in one row
def discriminator_over_scales(real_outputs, fake_outputs):
    real = torch.cat([maps[-1].flatten() for maps in real_outputs])
    fake = torch.cat([maps[-1].flatten() for maps in fake_outputs])
    return hinge_discriminator(real, fake)
