# question: generator_step
# says: non-saturating
# why: minimises log(1 - D(G(z)))
def generator_step(discriminator, optimizer, fake: Tensor) -> float:
    """One move of the generator, on which `fake` hangs. Returns its cost before the move.

    Args:
        discriminator: images -> scores [N]; it waits.
        optimizer: of the generator's parameters.
        fake: generated images [N, C, H, W].
    """
    value = -F.softplus(discriminator(fake)).mean()
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    return value.item()
