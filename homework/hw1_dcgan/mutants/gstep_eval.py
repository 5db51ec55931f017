# question: generator_step
# says: training mode
# why: the discriminator is put into evaluation mode
def generator_step(discriminator, optimizer, fake: Tensor) -> float:
    """One move of the generator, on which `fake` hangs. Returns its cost before the move.

    Args:
        discriminator: images -> scores [N]; it waits.
        optimizer: of the generator's parameters.
        fake: generated images [N, C, H, W].
    """
    discriminator.eval()
    value = game.generator(discriminator(fake))
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    discriminator.train()
    return value.item()
