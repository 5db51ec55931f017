# question: simultaneous_step
# says: the generator must go down the gradient of its own cost
# why: the generator descends minus the discriminator's cost, the minimax game
def simultaneous_step(discriminator, generator, x, noise, rate):
    cost = discriminator_loss(discriminator(x), discriminator(generator(noise)))
    parameters = [*discriminator.parameters(), *generator.parameters()]
    count = len(list(discriminator.parameters()))
    slopes = torch.autograd.grad(cost, parameters)
    cost_g = generator_loss(discriminator(generator(noise)))
    with torch.no_grad():
        for index, (parameter, slope) in enumerate(zip(parameters, slopes, strict=True)):
            parameter -= rate * slope if index < count else -rate * slope
    return cost.item(), cost_g.item()
