# question: discriminator_loss
# says: must both teach it
# why: the fake scores, not the fakes, are detached: only real images teach
def discriminator_loss(discriminator, generator, images, labels, noise):
    real_scores = discriminator(images, labels)
    fake_scores = discriminator(generator(noise, labels), labels).detach()
    return F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()
