# question: generator
# says: half as many
# why: the same number of features everywhere
class Generator(nn.Module):
    """Noise [N, noise_size] -> images [N, channels, image_size, image_size] in [-1, 1]."""

    def __init__(self, noise_size: int = 100, channels: int = 3, image_size: int = 64, ngf: int = 64) -> None:
        """`image_size` is a power of two from 16; `ngf` the features of the last hidden layer."""
        super().__init__()
        features = [ngf * image_size // 8]
        while features[-1] > ngf:
            features.append(features[-1] // 2)
        features = [ngf] * len(features)
        layers = [
            nn.Unflatten(1, (noise_size, 1, 1)),
            nn.ConvTranspose2d(noise_size, features[0], 4, stride=1, padding=0, bias=False),
            nn.BatchNorm2d(features[0]),
            nn.ReLU(),
        ]
        for before, after in itertools.pairwise(features):
            layers += [
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        layers += [nn.ConvTranspose2d(ngf, channels, 4, stride=2, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)
