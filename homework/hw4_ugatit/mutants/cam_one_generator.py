# question: cam_cost
# says: two generators
# why: only the first generator
def cam_cost(G_ab, G_ba, a: Tensor, b: Tensor) -> Tensor:
    """The cross-entropy of both generators' classifiers, a scalar; a is [N, C, H, W], b [M, C, H, W]."""
    cost = 0
    for generator, source, target in ((G_ab, a, b),):
        of_source, of_target = generator(source).logits, generator(target).logits
        cost = cost + F.softplus(-of_source).mean() + F.softplus(of_target).mean()
    return cost
