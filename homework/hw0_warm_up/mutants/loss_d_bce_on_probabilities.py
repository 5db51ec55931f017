# question: discriminator_loss
# says: clamped probability
# why: binary_cross_entropy clamps its logarithm at -100 and has no gradient where the sigmoid rounds
def discriminator_loss(real_scores, fake_scores):
    real, fake = torch.sigmoid(real_scores.float()), torch.sigmoid(fake_scores.float())
    cost = F.binary_cross_entropy
    return cost(real, torch.ones_like(real)) + cost(fake, torch.zeros_like(fake))
