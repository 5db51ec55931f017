# question: simultaneous_step
# says: taken at the discriminator's old parameters
# why: the fakes of the discriminator's cost are not detached: its gradient lands in the generator
def simultaneous_step(discriminator, generator, x, noise, rate):
    generator.zero_grad()
    cost_g = generator_loss(discriminator(generator(noise)))
    cost_g.backward()
    discriminator.zero_grad()
    cost_d = discriminator_loss(discriminator(x), discriminator(generator(noise)))
    cost_d.backward()
    with torch.no_grad():
        for network in (discriminator, generator):
            for parameter in network.parameters():
                parameter -= rate * parameter.grad
    return cost_d.item(), cost_g.item()
