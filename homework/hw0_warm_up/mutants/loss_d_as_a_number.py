# question: discriminator_loss
# says: no .item()
# why: .item() at the end, as one does for a log: nobody can learn from a float
def discriminator_loss(real_scores, fake_scores):
    return (F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()).item()
