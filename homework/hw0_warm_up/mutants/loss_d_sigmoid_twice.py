# question: discriminator_loss
# says: one sigmoid
# why: probabilities are handed to a function with logits
def discriminator_loss(real_scores, fake_scores):
    real, fake = torch.sigmoid(real_scores), torch.sigmoid(fake_scores)
    cost = F.binary_cross_entropy_with_logits
    return cost(real, torch.ones_like(real)) + cost(fake, torch.zeros_like(fake))
