# question: adalin
# says: not run along rows
# why: gamma runs along rows and columns where shapes allow it
def adalin(x, gamma, beta, rho, eps=1e-5):
    mean, variance = x.mean(dim=(2, 3), keepdim=True), x.var(dim=(2, 3), keepdim=True, correction=0)
    instance = (x - mean) / torch.sqrt(variance + eps)
    mean, variance = x.mean(dim=(1, 2, 3), keepdim=True), x.var(dim=(1, 2, 3), keepdim=True, correction=0)
    layer = (x - mean) / torch.sqrt(variance + eps)
    mixed = rho * instance + (1 - rho) * layer
    if gamma.shape == x.shape[2:]:
        return gamma * mixed + beta
    return gamma[:, :, None, None] * mixed + beta[:, :, None, None]
