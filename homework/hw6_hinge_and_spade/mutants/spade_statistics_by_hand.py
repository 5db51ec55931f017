# question: SPADE
# says: evaluation mode
# why: mean and variance of the batch by hand, in evaluation mode too
class SPADE(nn.Module):
    def __init__(self, features, classes, hidden=16):
        super().__init__()
        self.normalise = nn.BatchNorm2d(features, affine=False)
        self.shared = nn.Conv2d(classes, hidden, 3, padding=1)
        self.gamma = nn.Conv2d(hidden, features, 3, padding=1)
        self.beta = nn.Conv2d(hidden, features, 3, padding=1)

    def forward(self, h, planes):
        if self.training:
            self.normalise(h)
        mean, variance = h.mean((0, 2, 3), keepdim=True), h.var((0, 2, 3), correction=0, keepdim=True)
        shared = F.relu(self.shared(F.interpolate(planes, size=h.shape[2:], mode="nearest")))
        return (1 + self.gamma(shared)) * (h - mean) / (variance + 1e-5).sqrt() + self.beta(shared)
