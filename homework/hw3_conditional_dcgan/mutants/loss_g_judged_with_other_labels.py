# question: generator_loss
# says: another label
# why: new labels are drawn for the discriminator
def generator_loss(discriminator, generator, labels, noise):
    return F.softplus(-discriminator(generator(noise, labels), labels.flip(0))).mean()
