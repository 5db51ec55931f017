# question: gradient_penalty
# says: (E[norm] - 1)^2
# why: the mean is taken before the square
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
    norms = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return (norms.mean() - 1).square()
