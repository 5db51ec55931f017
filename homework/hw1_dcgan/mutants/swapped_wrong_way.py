# question: swapped_cost
# says: with probability 0
# why: the comparison is the wrong way round
def swapped_cost(
    real_scores: Tensor, fake_scores: Tensor, probability: float = 0.05, rng: torch.Generator | None = None
) -> Tensor:
    """game.discriminator, with the two kinds of scores exchanged with the given probability; a scalar.

    The coin is tossed with torch.rand(..., generator=rng), once in a call.
    """
    if torch.rand((), generator=rng) > probability:
        real_scores, fake_scores = fake_scores, real_scores
    return game.discriminator(real_scores, fake_scores)
