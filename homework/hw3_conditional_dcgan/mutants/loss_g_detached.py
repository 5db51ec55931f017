# question: generator_loss
# says: no gradient reaches the generator
# why: the detach of the discriminator's cost, copied along
def generator_loss(discriminator, generator, labels, noise):
    return F.softplus(-discriminator(generator(noise, labels).detach(), labels)).mean()
