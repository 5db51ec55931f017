# question: training_step
# says: must not move the discriminator again
# why: the discriminator is moved by the generator's cost as well
def training_step(discriminator, generator, optimizers, images, labels, noise):
    costs = {}
    for name in ("discriminator", "generator"):
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        if name == "discriminator":
            cost = discriminator_loss(discriminator, generator, images, labels, noise)
        else:
            cost = generator_loss(discriminator, generator, labels, noise)
        cost.backward()
        for optimizer in optimizers.values():
            optimizer.step()
        costs[name] = cost.item()
    return costs
