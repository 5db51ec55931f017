# question: generator_step
# says: does the gradient reach it
# why: the fakes are detached in the generator's move too
def generator_step(discriminator, optimizer, fake: Tensor) -> float:
    """One move of the generator, on which `fake` hangs. Returns its cost before the move.

    Args:
        discriminator: images -> scores [N]; it waits.
        optimizer: of the generator's parameters.
        fake: generated images [N, C, H, W].
    """
    value = game.generator(discriminator(fake.detach()))
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    return value.item()
