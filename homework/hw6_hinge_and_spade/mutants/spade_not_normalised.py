# question: SPADE
# says: multiplies the normalised h
# why: the gain multiplies h itself
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
        return (1 + self.gamma(shared)) * h + self.beta(shared)
