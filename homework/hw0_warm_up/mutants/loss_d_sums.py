# question: discriminator_loss
# says: not sums
# why: sums in place of means
def discriminator_loss(real_scores, fake_scores):
    return F.softplus(-real_scores).sum() + F.softplus(fake_scores).sum()
