# question: cam_cost
# says: log 2 four times
# why: least squares as in the discriminators
def cam_cost(G_ab, G_ba, a: Tensor, b: Tensor) -> Tensor:
    """The cross-entropy of both generators' classifiers, a scalar; a is [N, C, H, W], b [M, C, H, W]."""
    cost = 0
    for generator, source, target in ((G_ab, a, b), (G_ba, b, a)):
        of_source, of_target = generator(source).logits, generator(target).logits
        cost = cost + (1 - of_source.sigmoid()).square().mean() + of_target.sigmoid().square().mean()
    return cost
