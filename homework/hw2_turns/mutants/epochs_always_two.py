# question: by_epochs
# says: turns of 1 epochs
# why: the argument is ignored
def by_epochs(step: int, steps_per_epoch: int, epochs: int = 2) -> tuple[str, ...]:
    """Who moves in `step`: D for the first `epochs` epochs, G for as many, and so on."""
    turn = step // (2 * steps_per_epoch)
    return (DISCRIMINATOR,) if turn % 2 == 0 else (GENERATOR,)
