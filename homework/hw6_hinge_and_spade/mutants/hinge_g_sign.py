# question: hinge_generator
# says: paid for being found out
# why: the minus is forgotten
def hinge_generator(fake_scores):
    return fake_scores.mean()
