# question: discriminator_loss
# says: the value is wrong
# why: one mean over real and generated images together, which is half the cost
def discriminator_loss(discriminator, generator, images, labels, noise):
    fakes = generator(noise, labels).detach()
    real, fake = discriminator(images, labels), discriminator(fakes, labels)
    return torch.cat([F.softplus(-real), F.softplus(fake)]).mean()
