# question: by_loss
# says: the wrong way round
# why: the comparison is the wrong way round
def by_loss(loss: float | None, threshold: float = 1.0) -> tuple[str, ...]:
    """Who moves, given the discriminator's cost in the step before (None: there was none)."""
    return (DISCRIMINATOR,) if loss is None or loss < threshold else (GENERATOR,)
