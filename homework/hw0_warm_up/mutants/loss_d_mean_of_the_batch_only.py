# question: discriminator_loss
# says: one number too
# why: mean over the first axis, which leaves a map for maps of scores
def discriminator_loss(real_scores, fake_scores):
    return F.softplus(-real_scores).mean(dim=0) + F.softplus(fake_scores).mean(dim=0)
