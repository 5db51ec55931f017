# question: discriminator_loss
# says: not sums
# why: sums over the batch
def discriminator_loss(discriminator, generator, images, labels, noise):
    fakes = generator(noise, labels).detach()
    return F.softplus(-discriminator(images, labels)).sum() + F.softplus(discriminator(fakes, labels)).sum()
