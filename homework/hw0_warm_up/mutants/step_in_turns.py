# question: simultaneous_step
# says: before anybody moves
# why: the generator's gradient is computed after the discriminator has moved
def simultaneous_step(discriminator, generator, x, noise, rate):
    cost_d = discriminator_loss(discriminator(x), discriminator(generator(noise).detach()))
    parameters = list(discriminator.parameters())
    slopes = torch.autograd.grad(cost_d, parameters)
    with torch.no_grad():
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter -= rate * slope
    cost_g = generator_loss(discriminator(generator(noise)))
    parameters = list(generator.parameters())
    slopes = torch.autograd.grad(cost_g, parameters)
    with torch.no_grad():
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter -= rate * slope
    return cost_d.item(), cost_g.item()
