# question: one_hot
def one_hot(labels, num_classes, dtype=torch.float32):
    vectors = torch.zeros(len(labels), num_classes, dtype=dtype, device=labels.device)
    return vectors.scatter_(1, labels[:, None], 1)


# question: with_label_planes
def with_label_planes(images, labels, num_classes):
    count, channels, height, width = images.shape
    stacked = images.new_zeros(count, channels + num_classes, height, width)
    stacked[:, :channels] = images
    stacked[torch.arange(count), channels + labels] = 1
    return stacked


# question: ConditionalGenerator
class ConditionalGenerator(nn.Module):
    def __init__(self, body, num_classes):
        super().__init__()
        self.network, self.classes = body, num_classes

    def forward(self, noise, labels):
        vectors = torch.eye(self.classes, dtype=noise.dtype, device=noise.device)[labels]
        return self.network(torch.hstack((noise, vectors)))


# question: build_players
def build_players(num_classes, noise_size, features):
    players = (
        ConditionalGenerator(dcgan.Generator(num_classes + noise_size, 1, 32, features), num_classes),
        ConditionalDiscriminator(dcgan.Discriminator(num_classes + 1, 32, features), num_classes),
    )
    for player in reversed(players):
        dcgan.initialise(player, std=0.02)
    return players


# question: discriminator_loss
def discriminator_loss(discriminator, generator, images, labels, noise):
    with torch.no_grad():
        fakes = generator(noise, labels)
    scores = discriminator(torch.cat([fakes, images]), torch.cat([labels, labels]))
    targets = (torch.arange(len(scores)) >= len(fakes)).to(scores)
    return 2 * F.binary_cross_entropy_with_logits(scores, targets)


# question: generator_loss
def generator_loss(discriminator, generator, labels, noise):
    scores = discriminator(generator(noise, labels), labels)
    return F.binary_cross_entropy_with_logits(scores, torch.ones_like(scores))


# question: training_step
def training_step(discriminator, generator, optimizers, images, labels, noise):
    discriminator.zero_grad(set_to_none=False)
    real_and_fake = discriminator_loss(discriminator, generator, images, labels, noise)
    real_and_fake.backward()
    optimizers["discriminator"].step()
    discriminator.requires_grad_(False)
    generator.zero_grad()
    fooled = generator_loss(discriminator, generator, labels, noise)
    fooled.backward()
    discriminator.requires_grad_(True)
    optimizers["generator"].step()
    return {"generator": float(fooled), "discriminator": float(real_and_fake)}


# question: digit_grid
@torch.inference_mode()
def digit_grid(generator, noise, num_classes):
    mode = generator.training
    try:
        generator.train(False)
        rows = [
            generator(z.expand(num_classes, -1), torch.arange(num_classes, device=noise.device))
            for z in noise
        ]
        return torch.cat(rows)
    finally:
        generator.train(mode)
