# question: generator_loss
# says: paid for being found out
# why: the discriminator's target for fakes, copied
def generator_loss(fake_scores):
    return F.binary_cross_entropy_with_logits(fake_scores, torch.zeros_like(fake_scores))
