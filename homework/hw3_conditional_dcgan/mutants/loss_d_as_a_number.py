# question: discriminator_loss
# says: no .item()
# why: .item() at the end, as one does for a log: nobody can learn from a float
def discriminator_loss(discriminator, generator, images, labels, noise):
    fakes = generator(noise, labels).detach()
    real_scores, fake_scores = discriminator(images, labels), discriminator(fakes, labels)
    return F.softplus(-real_scores).mean().item() + F.softplus(fake_scores).mean().item()
