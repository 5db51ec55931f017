# question: generator_loss
# says: non-saturating
# why: E[log(1 - D)]
def generator_loss(fake_scores):
    return -F.softplus(fake_scores).mean()
