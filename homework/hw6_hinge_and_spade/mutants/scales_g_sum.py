# question: generator_over_scales
# says: not their sum
# why: the sum over the scales
def generator_over_scales(fake_outputs):
    return sum(hinge_generator(maps[-1]) for maps in fake_outputs)
