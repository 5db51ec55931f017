# question: by_epochs
# says: off by one
# why: the step is counted from 1
def by_epochs(step: int, steps_per_epoch: int, epochs: int = 2) -> tuple[str, ...]:
    """Who moves in `step`: D for the first `epochs` epochs, G for as many, and so on."""
    turn = (step + 1) // (epochs * steps_per_epoch)
    return (DISCRIMINATOR,) if turn % 2 == 0 else (GENERATOR,)
