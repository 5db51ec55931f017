# question: simultaneous_step
# says: down the gradient
# why: plus in place of minus
def simultaneous_step(discriminator, generator, x, noise, rate):
    fake = generator(noise)
    cost_d = discriminator_loss(discriminator(x), discriminator(fake.detach()))
    cost_g = generator_loss(discriminator(fake))
    slopes_d = torch.autograd.grad(cost_d, list(discriminator.parameters()))
    slopes_g = torch.autograd.grad(cost_g, list(generator.parameters()))
    with torch.no_grad():
        for parameter, slope in zip(discriminator.parameters(), slopes_d, strict=True):
            parameter += rate * slope
        for parameter, slope in zip(generator.parameters(), slopes_g, strict=True):
            parameter += rate * slope
    return cost_d.item(), cost_g.item()
