# question: training_step
# says: not cleared
# why: each optimiser clears after its own step, so that D keeps what it collected in the generator's turn
def training_step(discriminator, generator, optimizers, images, labels, noise):
    first = discriminator_loss(discriminator, generator, images, labels, noise)
    first.backward()
    optimizers["discriminator"].step()
    optimizers["discriminator"].zero_grad()
    second = generator_loss(discriminator, generator, labels, noise)
    second.backward()
    optimizers["generator"].step()
    optimizers["generator"].zero_grad()
    return {"discriminator": first.item(), "generator": second.item()}
