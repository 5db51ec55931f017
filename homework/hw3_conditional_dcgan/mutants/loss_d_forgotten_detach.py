# question: discriminator_loss
# says: detach the fakes
# why: the fakes keep their way back to the generator
def discriminator_loss(discriminator, generator, images, labels, noise):
    fakes = generator(noise, labels)
    real_scores, fake_scores = discriminator(images, labels), discriminator(fakes, labels)
    return F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()
