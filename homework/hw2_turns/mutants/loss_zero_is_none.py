# question: by_loss
# says: a cost of 0.0
# why: a cost of 0 is taken for none
def by_loss(loss: float | None, threshold: float = 1.0) -> tuple[str, ...]:
    """Who moves, given the discriminator's cost in the step before (None: there was none)."""
    return (DISCRIMINATOR,) if not loss or loss > threshold else (GENERATOR,)
