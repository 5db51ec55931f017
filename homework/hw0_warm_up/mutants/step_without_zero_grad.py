# question: simultaneous_step
# says: were still there
# why: .grad of the generator is never cleared
def simultaneous_step(discriminator, generator, x, noise, rate):
    cost_g = generator_loss(discriminator(generator(noise)))
    cost_g.backward()
    discriminator.zero_grad()
    cost_d = discriminator_loss(discriminator(x), discriminator(generator(noise).detach()))
    cost_d.backward()
    with torch.no_grad():
        for network in (discriminator, generator):
            for parameter in network.parameters():
                parameter -= rate * parameter.grad
    return cost_d.item(), cost_g.item()
