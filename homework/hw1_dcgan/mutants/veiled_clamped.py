# question: veiled
# says: clamped
# why: the images are clamped to [-1, 1] afterwards
def noise_level(step: int, first: float, steps: int) -> float:
    """`first` at step 0, falling linearly to 0 at `steps`, 0 from there on."""
    return first * max(0.0, 1 - step / steps)


def veiled(images: Tensor, level: float, rng: torch.Generator | None = None) -> Tensor:
    """Images, of the same type, under fresh normal noise of deviation `level` from rng for every value."""
    noise = torch.randn(images.shape, generator=rng, device=images.device, dtype=images.dtype)
    return (images + level * noise).clamp(-1, 1)
