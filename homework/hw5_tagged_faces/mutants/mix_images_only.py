# question: mix
# says: no images
# why: alpha is given four axes whatever the samples are
def mix(real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """alpha * real + (1 - alpha) * fake.

    Args:
        real, fake: [N, ...] of one shape.
        alpha: [N], one for each sample.

    Returns:
        [N, ...].
    """
    alpha = alpha.view(-1, 1, 1, 1)
    return alpha * real + (1 - alpha) * fake
