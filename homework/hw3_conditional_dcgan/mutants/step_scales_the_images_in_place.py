# question: training_step
# says: in place
# why: the images are brought to [-1, 1] a second time, in place, so that every epoch sees them smaller
def training_step(discriminator, generator, optimizers, images, labels, noise):
    images.mul_(2).sub_(1)
    first = discriminator_loss(discriminator, generator, images, labels, noise)
    optimizers["discriminator"].zero_grad()
    first.backward()
    optimizers["discriminator"].step()
    second = generator_loss(discriminator, generator, labels, noise)
    optimizers["generator"].zero_grad()
    second.backward()
    optimizers["generator"].step()
    return {"discriminator": first.item(), "generator": second.item()}
