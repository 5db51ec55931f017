# question: hinge_discriminator
# says: in place
# why: neg_, add_ and relu_ on the scores themselves, to save memory
def hinge_discriminator(real_scores, fake_scores):
    return real_scores.neg_().add_(1).relu_().mean() + fake_scores.add_(1).relu_().mean()
