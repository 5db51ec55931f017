# question: hinge_generator
# says: no margin
# why: a hinge for the generator too
def hinge_generator(fake_scores):
    return F.relu(1 - fake_scores).mean()
