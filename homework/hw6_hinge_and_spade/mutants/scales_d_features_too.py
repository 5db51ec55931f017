# question: discriminator_over_scales
# says: features take part
# why: every map counts as scores
def discriminator_over_scales(real_outputs, fake_outputs):
    costs = [
        hinge_discriminator(r, f)
        for real, fake in zip(real_outputs, fake_outputs, strict=True)
        for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(costs).mean()
