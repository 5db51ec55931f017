# question: generator_step
# says: frozen
# why: the discriminator is frozen and stays so
def generator_step(discriminator, optimizer, fake: Tensor) -> float:
    """One move of the generator, on which `fake` hangs. Returns its cost before the move.

    Args:
        discriminator: images -> scores [N]; it waits.
        optimizer: of the generator's parameters.
        fake: generated images [N, C, H, W].
    """
    discriminator.requires_grad_(False)
    value = game.generator(discriminator(fake))
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    return value.item()
