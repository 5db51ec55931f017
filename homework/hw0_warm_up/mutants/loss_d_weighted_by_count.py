# question: discriminator_loss
# says: a mean of its own
# why: twice the common mean: right only while there are as many fakes as data
def discriminator_loss(real_scores, fake_scores):
    return 2 * torch.cat([F.softplus(-real_scores).flatten(), F.softplus(fake_scores).flatten()]).mean()
