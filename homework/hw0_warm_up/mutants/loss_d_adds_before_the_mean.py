# question: discriminator_loss
# says: size of tensor
# why: the two terms are added sample by sample, which fails for batches of different size
def discriminator_loss(real_scores, fake_scores):
    return (F.softplus(-real_scores) + F.softplus(fake_scores)).mean()
