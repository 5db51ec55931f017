# question: adalin
# says: with rho = 1
# why: rho weighs layer norm
def adalin(x: Tensor, gamma: Tensor, beta: Tensor, rho: Tensor, eps: float = 1e-5) -> Tensor:
    """gamma * (rho * IN(x) + (1 - rho) * LN(x)) + beta.

    Args:
        x: [N, C, H, W].
        gamma, beta: [N, C].
        rho: [1, C, 1, 1].
        eps: added to the variances.

    Returns:
        [N, C, H, W].
    """
    mean, variance = x.mean(dim=(2, 3), keepdim=True), x.var(dim=(2, 3), keepdim=True, correction=0)
    instance = (x - mean) / torch.sqrt(variance + eps)
    mean, variance = x.mean(dim=(1, 2, 3), keepdim=True), x.var(dim=(1, 2, 3), keepdim=True, correction=0)
    layer = (x - mean) / torch.sqrt(variance + eps)
    mixed = (1 - rho) * instance + rho * layer
    return gamma[:, :, None, None] * mixed + beta[:, :, None, None]
