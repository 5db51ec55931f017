# question: moves
# says: batches of their own
# why: real and generated images pass together
def move_discriminator(generator, discriminator, optimizer, real: Tensor, noise: Tensor) -> float:
    """One move of the discriminator; the generator waits. Returns the cost before the move."""
    with waiting(generator), torch.no_grad():
        fake = generator(noise)
    scores = discriminator(torch.cat([real, fake]))
    cost = game.discriminator(scores[: len(real)], scores[len(real) :])
    optimizer.zero_grad()
    cost.backward()
    optimizer.step()
    return cost.item()


def move_generator(generator, discriminator, optimizer, noise: Tensor) -> float:
    """One move of the generator; the discriminator waits. Returns the cost before the move."""
    optimizer.zero_grad()
    with waiting(discriminator):
        cost = game.generator(discriminator(generator(noise)))
        cost.backward()
    optimizer.step()
    return cost.item()
