# question: discriminator_loss
# says: not its own
# why: the fakes are judged with rolled labels, "so that D learns to look"
def discriminator_loss(discriminator, generator, images, labels, noise):
    fakes = generator(noise, labels).detach()
    real_scores, fake_scores = discriminator(images, labels), discriminator(fakes, labels.roll(1))
    return F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()
