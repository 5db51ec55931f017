# question: critic
# says: shape [1]
# why: squeeze removes the batch of one
class TaggedCritic(nn.Module):
    """Images -> a score each, and for each kind of tag the logits of a classifier."""

    def __init__(
        self,
        image_size: int = 32,
        channels: int = 3,
        ndf: int = 16,
        bottleneck: int = 64,
        tag_sizes: tuple[int, ...] = TAG_SIZES,
    ) -> None:
        """`image_size` is a power of two from 16; a classifier's hidden layer has `bottleneck` features."""
        super().__init__()
        halvings = image_size.bit_length() - 3
        features = [channels, *(ndf * 2**k for k in range(halvings))]
        layers = []
        for before, after in itertools.pairwise(features):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        self.score = nn.Sequential(nn.Conv2d(features[-1], 1, 4))
        self.bottleneck = nn.Sequential(
            nn.Conv2d(features[-1], bottleneck, 4), nn.LeakyReLU(0.2), nn.Flatten()
        )
        self.classifiers = nn.ModuleList(
            nn.Sequential(nn.Linear(bottleneck, bottleneck), nn.LeakyReLU(0.2), nn.Linear(bottleneck, places))
            for places in tag_sizes
        )

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """[N, channels, image_size, image_size] -> scores [N], and logits [N, places] of each kind."""
        features = self.body(x)
        shared = self.bottleneck(features)
        return self.score(features).squeeze(), [classifier(shared) for classifier in self.classifiers]
