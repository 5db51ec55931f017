# question: by_loss
# says: above means above
# why: at the threshold the discriminator moves
def by_loss(loss: float | None, threshold: float = 1.0) -> tuple[str, ...]:
    """Who moves, given the discriminator's cost in the step before (None: there was none)."""
    return (DISCRIMINATOR,) if loss is None or loss >= threshold else (GENERATOR,)
