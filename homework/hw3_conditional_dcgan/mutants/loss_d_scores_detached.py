# question: discriminator_loss
# says: not the scores
# why: the whole pass is put under no_grad, so that nobody learns
def discriminator_loss(discriminator, generator, images, labels, noise):
    with torch.no_grad():
        fakes = generator(noise, labels)
        real_scores, fake_scores = discriminator(images, labels), discriminator(fakes, labels)
    return F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()
