# question: generator_loss
# says: in two steps
# why: log(sigmoid(s))
def generator_loss(fake_scores):
    return -torch.sigmoid(fake_scores).log().mean()
