# question: discriminator_loss
# says: rounded probability
# why: log(sigmoid(s)) in two steps with a small number inside, right until the sigmoid rounds
def discriminator_loss(discriminator, generator, images, labels, noise):
    fakes = generator(noise, labels).detach()
    real, fake = torch.sigmoid(discriminator(images, labels)), torch.sigmoid(discriminator(fakes, labels))
    return -torch.log(real + 1e-12).mean() - torch.log(1 - fake + 1e-12).mean()
