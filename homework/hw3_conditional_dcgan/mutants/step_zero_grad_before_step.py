# question: training_step
# says: in this order
# why: zero_grad stands between backward and step: nobody moves
def training_step(discriminator, generator, optimizers, images, labels, noise):
    first = discriminator_loss(discriminator, generator, images, labels, noise)
    first.backward()
    optimizers["discriminator"].zero_grad()
    optimizers["discriminator"].step()
    second = generator_loss(discriminator, generator, labels, noise)
    second.backward()
    optimizers["generator"].zero_grad()
    optimizers["generator"].step()
    return {"discriminator": first.item(), "generator": second.item()}
