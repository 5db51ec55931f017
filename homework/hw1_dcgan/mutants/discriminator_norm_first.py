# question: discriminator
# says: rule 2
# why: batch norm behind the first convolution
class Discriminator(nn.Module):
    """Images [N, channels, image_size, image_size] -> scores [N]."""

    def __init__(self, channels: int = 3, image_size: int = 64, ndf: int = 64) -> None:
        """`image_size` is a power of two from 16; `ndf` the features of the first layer."""
        super().__init__()
        features = [ndf]
        while image_size // 2 ** len(features) > 4:
            features.append(2 * features[-1])
        layers = [nn.Conv2d(channels, ndf, 4, stride=2, padding=1), nn.BatchNorm2d(ndf), nn.LeakyReLU(0.2)]
        for before, after in itertools.pairwise(features):
            layers += [
                nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(0.2),
            ]
        layers += [nn.Conv2d(features[-1], 1, 4, stride=1, padding=0), nn.Flatten(0)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
