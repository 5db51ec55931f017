# question: hinge_generator
# says: minus the mean
# why: a sum over the patches
def hinge_generator(fake_scores):
    return -fake_scores.sum()
