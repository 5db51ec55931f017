# question: by_epochs
# says: steps taken for epochs
# why: turns of two steps in place of two epochs
def by_epochs(step: int, steps_per_epoch: int, epochs: int = 2) -> tuple[str, ...]:
    """Who moves in `step`: D for the first `epochs` epochs, G for as many, and so on."""
    turn = step // epochs
    return (DISCRIMINATOR,) if turn % 2 == 0 else (GENERATOR,)
