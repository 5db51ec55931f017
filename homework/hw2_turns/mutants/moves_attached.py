# question: moves
# says: detach them
# why: the fakes keep their graph in the discriminator's move
def move_discriminator(generator, discriminator, optimizer, real, noise):
    buffers = [b.clone() for b in generator.buffers()]
    cost = game.discriminator(discriminator(real), discriminator(generator(noise)))
    for b, value in zip(generator.buffers(), buffers, strict=True):
        b.data.copy_(value)
    optimizer.zero_grad()
    cost.backward()
    optimizer.step()
    return cost.item()


def move_generator(generator, discriminator, optimizer, noise):
    with waiting(discriminator):
        cost = game.generator(discriminator(generator(noise)))
    optimizer.zero_grad()
    cost.backward()
    optimizer.step()
    return cost.item()
