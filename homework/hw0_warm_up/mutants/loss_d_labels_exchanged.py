# question: discriminator_loss
# says: real is 1 and generated is 0
# why: targets exchanged
def discriminator_loss(real_scores, fake_scores):
    cost = F.binary_cross_entropy_with_logits
    return cost(real_scores, torch.zeros_like(real_scores)) + cost(fake_scores, torch.ones_like(fake_scores))
