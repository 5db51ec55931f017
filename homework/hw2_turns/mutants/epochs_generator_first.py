# question: by_epochs
# says: D must move in steps 0
# why: the generator begins
def by_epochs(step: int, steps_per_epoch: int, epochs: int = 2) -> tuple[str, ...]:
    """Who moves in `step`: D for the first `epochs` epochs, G for as many, and so on."""
    turn = step // (epochs * steps_per_epoch)
    return (DISCRIMINATOR,) if turn % 2 == 1 else (GENERATOR,)
