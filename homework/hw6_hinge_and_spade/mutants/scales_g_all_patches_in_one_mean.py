# question: generator_over_scales
# says: more votes
# why: the patches of all scales in one row
def generator_over_scales(fake_outputs):
    return hinge_generator(torch.cat([maps[-1].flatten() for maps in fake_outputs]))
