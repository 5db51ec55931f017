# question: generator_loss
# says: stays frozen
# why: the discriminator's parameters are frozen for the generator's turn and never thawed
def generator_loss(discriminator, generator, labels, noise):
    discriminator.requires_grad_(False)
    return F.softplus(-discriminator(generator(noise, labels), labels)).mean()
