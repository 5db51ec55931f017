# question: initialise
def initialise(network, std=0.02):
    @torch.no_grad()
    def fresh(layer):
        name = type(layer).__name__
        if "Conv" in name:
            layer.weight.copy_(std * torch.randn_like(layer.weight))
            if layer.bias is not None:
                layer.bias.zero_()
        elif "BatchNorm" in name:
            layer.weight.copy_(1 + std * torch.randn_like(layer.weight))
            layer.bias.fill_(0)

    network.apply(fresh)


# question: generator
class Generator(nn.Module):
    def __init__(self, noise_size=100, channels=3, image_size=64, ngf=64):
        super().__init__()
        size, maps = 4, ngf * image_size // 8
        self.first = nn.ConvTranspose2d(noise_size, maps, 4, 1, 0)
        self.norms = nn.ModuleList([nn.BatchNorm2d(maps)])
        self.convolutions = nn.ModuleList()
        while size * 2 < image_size:
            self.convolutions.append(nn.ConvTranspose2d(maps, maps // 2, 4, 2, 1, bias=False))
            self.norms.append(nn.BatchNorm2d(maps // 2))
            size, maps = 2 * size, maps // 2
        self.convolutions.append(nn.ConvTranspose2d(maps, channels, 4, 2, 1, bias=False))

    def forward(self, z):
        x = self.first(z.view(len(z), -1, 1, 1))
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            x = convolution(F.relu(norm(x), inplace=True))
        return torch.tanh(x)


# question: discriminator
class Discriminator(nn.Module):
    def __init__(self, channels=3, image_size=64, ndf=64):
        super().__init__()
        self.first = nn.Conv2d(channels, ndf, 4, 2, 1, bias=False)
        blocks, size = [], image_size // 2
        while size > 4:
            blocks.append(nn.Sequential(nn.Conv2d(ndf, 2 * ndf, 4, 2, 1), nn.BatchNorm2d(2 * ndf)))
            ndf, size = 2 * ndf, size // 2
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Conv2d(ndf, 1, 4)

    def forward(self, x):
        x = F.leaky_relu(self.first(x), 0.2, inplace=True)
        for block in self.blocks:
            x = F.leaky_relu(block(x), negative_slope=0.2)
        return self.last(x).view(-1)


# question: discriminator_step
def discriminator_step(discriminator, optimizer, real, fake, cost=game.discriminator):
    optimizer.zero_grad(set_to_none=False)
    real_scores = discriminator(real)
    fake_scores = discriminator(fake.clone().detach())
    loss = cost(real_scores, fake_scores)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


# question: generator_step
def generator_step(discriminator, optimizer, fake):
    optimizer.zero_grad()
    loss = F.softplus(-discriminator(fake)).mean()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


# question: smoothed_cost
def smoothed_cost(real_scores, fake_scores, amount=0.1):
    label = 1 - amount
    real = -(label * F.logsigmoid(real_scores) + amount * F.logsigmoid(-real_scores)).mean()
    return real + F.softplus(fake_scores).mean()


# question: swapped_cost
def swapped_cost(real_scores, fake_scores, probability=0.05, rng=None):
    swap = bool(torch.rand(1, generator=rng).item() < probability)
    scores = (fake_scores, real_scores) if swap else (real_scores, fake_scores)
    return F.softplus(-scores[0]).mean() + F.softplus(scores[1]).mean()


# question: veiled
def noise_level(step, first, steps):
    return 0.0 if step >= steps else first * (steps - step) / steps


def veiled(images, level, rng=None):
    return images + level * torch.empty_like(images, requires_grad=False).normal_(generator=rng)
