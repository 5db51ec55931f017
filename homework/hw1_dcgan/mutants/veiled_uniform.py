# question: veiled
# says: torch.randn
# why: uniform noise of the right spread
def noise_level(step: int, first: float, steps: int) -> float:
    """`first` at step 0, falling linearly to 0 at `steps`, 0 from there on."""
    return first * max(0.0, 1 - step / steps)


def veiled(images: Tensor, level: float, rng: torch.Generator | None = None) -> Tensor:
    """Images, of the same type, under fresh normal noise of deviation `level` from rng for every value."""
    noise = (torch.rand(images.shape, generator=rng).to(images) * 2 - 1) * 3**0.5
    return images + level * noise
