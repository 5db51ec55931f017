# question: training_step
# says: not cleared
# why: zero_grad is missing, so that gradients of all steps add up
def training_step(discriminator, generator, optimizers, images, labels, noise):
    first = discriminator_loss(discriminator, generator, images, labels, noise)
    first.backward()
    optimizers["discriminator"].step()
    second = generator_loss(discriminator, generator, labels, noise)
    second.backward()
    optimizers["generator"].step()
    return {"discriminator": first.item(), "generator": second.item()}
