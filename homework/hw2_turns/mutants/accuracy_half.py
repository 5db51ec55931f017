# question: by_accuracy
# says: not one half
# why: scores are compared with one half
def by_accuracy(
    real_scores: Tensor | None, fake_scores: Tensor | None, threshold: float = 0.8
) -> tuple[str, ...]:
    """Who moves, given the scores of the step before (None, None: there was none)."""
    if real_scores is None:
        return (DISCRIMINATOR, GENERATOR)
    accuracy = ((real_scores > 0.5).float().mean() + (fake_scores < 0.5).float().mean()) / 2
    return (GENERATOR,) if accuracy >= threshold else (DISCRIMINATOR, GENERATOR)
