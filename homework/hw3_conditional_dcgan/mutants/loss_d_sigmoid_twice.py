# question: discriminator_loss
# says: one sigmoid
# why: probabilities are handed to a function that wants logits
def discriminator_loss(discriminator, generator, images, labels, noise):
    fakes = generator(noise, labels).detach()
    real, fake = torch.sigmoid(discriminator(images, labels)), torch.sigmoid(discriminator(fakes, labels))
    cost = F.binary_cross_entropy_with_logits
    return cost(real, torch.ones_like(real)) + cost(fake, torch.zeros_like(fake))
