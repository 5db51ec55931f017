# question: cam_cost
# says: rounds to log 0
# why: the logarithm of a sigmoid that has rounded to 0
def cam_cost(G_ab, G_ba, a: Tensor, b: Tensor) -> Tensor:
    """The cross-entropy of both generators' classifiers, a scalar; a is [N, C, H, W], b [M, C, H, W]."""
    cost = 0
    for generator, source, target in ((G_ab, a, b), (G_ba, b, a)):
        of_source, of_target = generator(source).logits, generator(target).logits
        cost = cost + -of_source.sigmoid().log().mean() - (1 - of_target.sigmoid()).log().mean()
    return cost
