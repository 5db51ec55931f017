# question: SPADE
# says: statistics are those of the batch
# why: instance norm in place of the batch norm that was built
class SPADE(nn.Module):
    def __init__(self, features, classes, hidden=16):
        super().__init__()
        self.normalise = nn.BatchNorm2d(features, affine=False)
        self.shared = nn.Conv2d(classes, hidden, 3, padding=1)
        self.gamma = nn.Conv2d(hidden, features, 3, padding=1)
        self.beta = nn.Conv2d(hidden, features, 3, padding=1)

    def forward(self, h, planes):
        planes = F.interpolate(planes, size=h.shape[2:], mode="nearest")
        shared = F.relu(self.shared(planes))
        normalised = F.instance_norm(h) if h[0, 0].numel() > 1 else 0 * h
        return (1 + self.gamma(shared)) * normalised + self.beta(shared)
