# question: discriminator_loss
# says: labels exchanged
# why: targets 0 for real and 1 for generated
def discriminator_loss(discriminator, generator, images, labels, noise):
    fakes = generator(noise, labels).detach()
    real, fake = discriminator(images, labels), discriminator(fakes, labels)
    cost = F.binary_cross_entropy_with_logits
    return cost(real, torch.zeros_like(real)) + cost(fake, torch.ones_like(fake))
