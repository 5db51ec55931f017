# question: hinge_discriminator
# says: before the mean
# why: max(0, mean) in place of the mean of max(0, .)
def hinge_discriminator(real_scores, fake_scores):
    return F.relu((1 - real_scores).mean()) + F.relu((1 + fake_scores).mean())
