# question: with_label_planes
def with_label_planes(images, labels, num_classes):
    ones = torch.ones_like(images[:, :1])
    planes = [ones * (labels == k).to(images.dtype)[:, None, None, None] for k in range(num_classes)]
    return torch.cat([images, *planes], dim=1)


# question: ConditionalDiscriminator
class ConditionalDiscriminator(nn.Module):
    def __init__(self, body, num_classes):
        super().__init__()
        self.body = body
        self.num_classes = num_classes

    def forward(self, images, labels):
        vectors = one_hot(labels, self.num_classes, images.dtype)
        planes = torch.einsum("nk,nhw->nkhw", vectors, torch.ones_like(images[:, 0]))
        return self.body(torch.cat((images, planes), 1))


# question: discriminator_loss
def discriminator_loss(discriminator, generator, images, labels, noise):
    real = discriminator(images, labels)
    fake = discriminator(generator(noise, labels).detach(), labels)
    return -(F.logsigmoid(real).mean() + F.logsigmoid(-fake).mean())


# question: training_step
def training_step(discriminator, generator, optimizers, images, labels, noise):
    # one forward pass of the generator serves both players
    fakes = generator(noise, labels)
    optimizers["discriminator"].zero_grad()
    cost = discriminator_loss(discriminator, lambda z, y: fakes, images, labels, noise)
    cost.backward()
    optimizers["discriminator"].step()
    optimizers["generator"].zero_grad()
    other = generator_loss(discriminator, lambda z, y: fakes, labels, noise)
    other.backward()
    optimizers["generator"].step()
    return {"discriminator": cost.item(), "generator": other.item()}
