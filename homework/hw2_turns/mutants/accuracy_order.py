# question: by_accuracy
# says: D before it
# why: the generator stands first
def by_accuracy(
    real_scores: Tensor | None, fake_scores: Tensor | None, threshold: float = 0.8
) -> tuple[str, ...]:
    """Who moves, given the scores of the step before (None, None: there was none)."""
    if real_scores is None:
        return (GENERATOR, DISCRIMINATOR)
    accuracy = ((real_scores > 0).float().mean() + (fake_scores < 0).float().mean()) / 2
    return (GENERATOR,) if accuracy >= threshold else (GENERATOR, DISCRIMINATOR)
