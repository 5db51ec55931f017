# question: training_step
# says: has just moved
# why: both costs are computed before anybody moves
def training_step(discriminator, generator, optimizers, images, labels, noise):
    first = discriminator_loss(discriminator, generator, images, labels, noise)
    second = generator_loss(discriminator, generator, labels, noise)
    optimizers["generator"].zero_grad()
    second.backward()
    optimizers["discriminator"].zero_grad()
    first.backward()
    optimizers["discriminator"].step()
    optimizers["generator"].step()
    return {"discriminator": first.item(), "generator": second.item()}
