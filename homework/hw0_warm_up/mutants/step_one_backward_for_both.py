# question: simultaneous_step
# says: of its own cost, and of nothing else
# why: the sum of both costs is sent back, so that each player follows both
def simultaneous_step(discriminator, generator, x, noise, rate):
    discriminator.zero_grad()
    generator.zero_grad()
    fake = generator(noise)
    cost_d = discriminator_loss(discriminator(x), discriminator(fake.detach()))
    cost_g = generator_loss(discriminator(fake))
    (cost_d + cost_g).backward()
    with torch.no_grad():
        for network in (discriminator, generator):
            for parameter in network.parameters():
                parameter -= rate * parameter.grad
    return cost_d.item(), cost_g.item()
