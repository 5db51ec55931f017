# question: hinge_discriminator
# says: not sums
# why: sums over the scores
def hinge_discriminator(real_scores, fake_scores):
    return F.relu(1 - real_scores).sum() + F.relu(1 + fake_scores).sum()
