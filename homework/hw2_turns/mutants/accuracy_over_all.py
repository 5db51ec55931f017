# question: by_accuracy
# says: mean of the two shares
# why: one share over all scores
def by_accuracy(
    real_scores: Tensor | None, fake_scores: Tensor | None, threshold: float = 0.8
) -> tuple[str, ...]:
    """Who moves, given the scores of the step before (None, None: there was none)."""
    if real_scores is None:
        return (DISCRIMINATOR, GENERATOR)
    accuracy = torch.cat([real_scores > 0, fake_scores < 0]).float().mean()
    return (GENERATOR,) if accuracy >= threshold else (DISCRIMINATOR, GENERATOR)
