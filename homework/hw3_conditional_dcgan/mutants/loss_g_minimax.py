# question: generator_loss
# says: non-saturating
# why: log(1 - D) in place of -log D
def generator_loss(discriminator, generator, labels, noise):
    return -F.softplus(discriminator(generator(noise, labels), labels)).mean()
