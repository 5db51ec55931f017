# question: gradient_penalty
# says: where the slope is 0
# why: sqrt of the sum of squares has no gradient at 0
def gradient_penalty(critic, real: Tensor, fake: Tensor, rng: torch.Generator | None = None) -> Tensor:
    """E[(||gradient of D|| - 1)^2] at points between real and generated samples.

    Args:
        critic: a function from samples [N, ...] to scores [N] that does not mix samples.
        real, fake: [N, ...] of one shape, type and device; both are constants here.
        rng: where alpha is drawn from, torch.rand(..., generator=rng); one alpha for each sample.

    Returns:
        A scalar whose gradient reaches the critic's parameters and nothing else.
    """
    alpha = torch.rand(len(real), generator=rng, device=real.device, dtype=real.dtype)
    between = mix(real.detach(), fake.detach(), alpha).requires_grad_(True)
    scores = critic(between)
    (gradient,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    norms = gradient.flatten(1).square().sum(1).sqrt()
    return (norms - 1).square().mean()
