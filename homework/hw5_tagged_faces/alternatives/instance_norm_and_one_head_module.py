# question: critic
class Head(nn.Sequential):
    def __init__(self, features, hidden, outputs):
        super().__init__(nn.Linear(features, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, outputs))


class TaggedCritic(nn.Module):
    """With instance norm, which looks at one image at a time, in the second layer."""

    def __init__(self, image_size=32, channels=3, ndf=16, bottleneck=64, tag_sizes=TAG_SIZES):
        super().__init__()
        layers, size, maps = [], image_size, channels
        while size > 4:
            wider = ndf if maps == channels else 2 * maps
            layers.append(nn.Conv2d(maps, wider, 3, stride=2, padding=1))
            if size < image_size:
                layers.append(nn.InstanceNorm2d(wider, affine=True))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            maps, size = wider, size // 2
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.score = Head(maps * 16, ndf, 1)
        self.bottleneck = nn.Sequential(nn.Linear(maps * 16, bottleneck), nn.LeakyReLU(0.2))
        self.heads = nn.ModuleDict({str(k): Head(bottleneck, bottleneck, n) for k, n in enumerate(tag_sizes)})

    def forward(self, x):
        features = self.body(x)
        code = self.bottleneck(features)
        return self.score(features).squeeze(1), [head(code) for head in self.heads.values()]


# question: gradient_penalty
def gradient_penalty(critic, real, fake, rng=None):
    alpha = torch.rand(real.size(0), generator=rng, dtype=real.dtype, device=real.device)
    x_hat = mix(real, fake, alpha).detach()
    x_hat.requires_grad = True
    scores = critic(x_hat).sum()
    grads = torch.autograd.grad(scores, x_hat, create_graph=True)[0]
    grads = grads.view(grads.size(0), -1)
    norm = torch.sqrt(grads.pow(2).sum(dim=1) + 1e-12)
    return torch.mean((norm - 1) ** 2)
