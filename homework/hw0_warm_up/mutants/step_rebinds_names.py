# question: simultaneous_step
# says: did not move
# why: parameter = parameter - ... gives a new tensor a name, the network keeps the old one
def simultaneous_step(discriminator, generator, x, noise, rate):
    fake = generator(noise)
    cost_d = discriminator_loss(discriminator(x), discriminator(fake.detach()))
    cost_g = generator_loss(discriminator(fake))
    for network, cost in ((discriminator, cost_d), (generator, cost_g)):
        parameters = list(network.parameters())
        for parameter, slope in zip(parameters, torch.autograd.grad(cost, parameters), strict=True):
            parameter = parameter - rate * slope
    return cost_d.item(), cost_g.item()
