# question: mix
# says: exchanged
# why: alpha weighs the generated image
def mix(real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """alpha * fake + (1 - alpha) * real.

    Args:
        real, fake: [N, ...] of one shape.
        alpha: [N], one for each sample.

    Returns:
        [N, ...].
    """
    alpha = alpha.view(-1, *[1] * (real.dim() - 1))
    return alpha * fake + (1 - alpha) * real
