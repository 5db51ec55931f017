# question: discriminator_loss
# says: in two steps
# why: log(sigmoid(s)): minus infinity as soon as the sigmoid rounds to 0
def discriminator_loss(real_scores, fake_scores):
    return -torch.log(torch.sigmoid(real_scores)).mean() - torch.log(1 - torch.sigmoid(fake_scores)).mean()
