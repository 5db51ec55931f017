# question: generator_step
# says: changed the discriminator
# why: the discriminator is moved as well
def generator_step(discriminator, optimizer, fake: Tensor) -> float:
    """One move of the generator, on which `fake` hangs. Returns its cost before the move.

    Args:
        discriminator: images -> scores [N]; it waits.
        optimizer: of the generator's parameters.
        fake: generated images [N, C, H, W].
    """
    value = game.generator(discriminator(fake))
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    torch.optim.SGD(discriminator.parameters(), lr=0.1).step()
    return value.item()
