# question: discriminator_step
# says: left over
# why: gradients are never cleared
def discriminator_step(
    discriminator, optimizer, real: Tensor, fake: Tensor, cost=game.discriminator
) -> float:
    """One move of the discriminator. Returns its cost before the move.

    Args:
        discriminator: images -> scores [N].
        optimizer: of the discriminator's parameters.
        real: images [N, C, H, W].
        fake: generated images [M, C, H, W], which hang on the generator.
        cost: (scores of real images, scores of generated ones) -> the cost, a scalar.
    """
    value = cost(discriminator(real), discriminator(fake.detach()))
    value.backward()
    optimizer.step()
    return value.item()
