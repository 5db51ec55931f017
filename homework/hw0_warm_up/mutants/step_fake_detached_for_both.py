# question: simultaneous_step
# says: not detached
# why: one detached fake serves both costs, and the generator gets no gradient
def simultaneous_step(discriminator, generator, x, noise, rate):
    discriminator.zero_grad()
    generator.zero_grad()
    fake = generator(noise).detach()
    cost_g = generator_loss(discriminator(fake))
    cost_g.backward()
    discriminator.zero_grad()
    cost_d = discriminator_loss(discriminator(x), discriminator(fake))
    cost_d.backward()
    with torch.no_grad():
        for network in (discriminator, generator):
            for parameter in network.parameters():
                if parameter.grad is not None:
                    parameter -= rate * parameter.grad
    return cost_d.item(), cost_g.item()
