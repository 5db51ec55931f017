# question: swapped_cost
# says: one coin for the whole move
# why: each image has a coin of its own
def swapped_cost(
    real_scores: Tensor, fake_scores: Tensor, probability: float = 0.05, rng: torch.Generator | None = None
) -> Tensor:
    """game.discriminator, with the two kinds of scores exchanged with the given probability; a scalar.

    The coin is tossed with torch.rand(..., generator=rng), once in a call.
    """
    swap = torch.rand(real_scores.shape, generator=rng) < probability
    real_scores, fake_scores = (
        torch.where(swap, fake_scores, real_scores),
        torch.where(swap, real_scores, fake_scores),
    )
    return game.discriminator(real_scores, fake_scores)
