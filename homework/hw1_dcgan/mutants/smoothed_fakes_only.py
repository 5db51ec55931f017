# question: smoothed_cost
# says: one-sided
# why: the label of generated images is smoothed in place of that of real ones
def smoothed_cost(real_scores: Tensor, fake_scores: Tensor, amount: float = 0.1) -> Tensor:
    """J^(D) with the label 1 - amount for real images [N] and 0 for generated ones [M], a scalar."""
    real = F.binary_cross_entropy_with_logits(real_scores, torch.ones_like(real_scores))
    fake = F.binary_cross_entropy_with_logits(fake_scores, torch.full_like(fake_scores, amount))
    return real + fake
