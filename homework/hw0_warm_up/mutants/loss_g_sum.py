# question: generator_loss
# says: not a sum
# why: a sum over the batch
def generator_loss(fake_scores):
    return F.softplus(-fake_scores).sum()
