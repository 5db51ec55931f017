# question: by_accuracy
# says: G must move always
# why: only the discriminator moves while it is not right often enough
def by_accuracy(
    real_scores: Tensor | None, fake_scores: Tensor | None, threshold: float = 0.8
) -> tuple[str, ...]:
    """Who moves, given the scores of the step before (None, None: there was none)."""
    if real_scores is None:
        return (DISCRIMINATOR, GENERATOR)
    accuracy = ((real_scores > 0).float().mean() + (fake_scores < 0).float().mean()) / 2
    return (GENERATOR,) if accuracy >= threshold else (DISCRIMINATOR,)
