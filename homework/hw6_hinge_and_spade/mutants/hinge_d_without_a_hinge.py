# question: hinge_discriminator
# says: must cost nothing
# why: no max: the Wasserstein game
def hinge_discriminator(real_scores, fake_scores):
    return (1 - real_scores).mean() + (1 + fake_scores).mean()
