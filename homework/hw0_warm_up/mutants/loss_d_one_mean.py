# question: discriminator_loss
# says: two means
# why: one mean over all scores together: half the cost
def discriminator_loss(real_scores, fake_scores):
    return torch.cat([F.softplus(-real_scores).flatten(), F.softplus(fake_scores).flatten()]).mean()
