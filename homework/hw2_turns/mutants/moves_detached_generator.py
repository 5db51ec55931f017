# question: moves
# says: raised
# why: the fakes are detached in the generator's move
def move_discriminator(generator, discriminator, optimizer, real: Tensor, noise: Tensor) -> float:
    """One move of the discriminator; the generator waits. Returns the cost before the move."""
    with waiting(generator), torch.no_grad():
        fake = generator(noise)
    cost = game.discriminator(discriminator(real), discriminator(fake))
    optimizer.zero_grad()
    cost.backward()
    optimizer.step()
    return cost.item()


def move_generator(generator, discriminator, optimizer, noise: Tensor) -> float:
    """One move of the generator; the discriminator waits. Returns the cost before the move."""
    optimizer.zero_grad()
    with waiting(discriminator):
        cost = game.generator(discriminator(generator(noise).detach()))
        cost.backward()
    optimizer.step()
    return cost.item()
