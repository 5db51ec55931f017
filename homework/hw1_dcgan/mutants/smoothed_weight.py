# question: smoothed_cost
# says: in both terms
# why: the real half is only multiplied by 1 - amount
def smoothed_cost(real_scores: Tensor, fake_scores: Tensor, amount: float = 0.1) -> Tensor:
    """J^(D) with the label 1 - amount for real images [N] and 0 for generated ones [M], a scalar."""
    real = (1 - amount) * F.softplus(-real_scores).mean()
    fake = F.binary_cross_entropy_with_logits(fake_scores, torch.zeros_like(fake_scores))
    return real + fake
