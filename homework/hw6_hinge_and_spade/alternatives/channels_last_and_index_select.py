# question: hinge_discriminator
def hinge_discriminator(real_scores, fake_scores):
    return (1 - real_scores).clamp(min=0).mean() + (1 + fake_scores).clamp(min=0).mean()


# question: halves
def halves(outputs):
    first, second = [], []
    for maps in outputs:
        cut = [torch.tensor_split(m, 2, dim=0) for m in maps]
        first.append([pair[0] for pair in cut])
        second.append([pair[1] for pair in cut])
    return [first, second]


# question: feature_matching
def feature_matching(real_outputs, fake_outputs):
    scales = len(real_outputs)
    with torch.no_grad():
        targets = [[m.clone() for m in maps] for maps in real_outputs]
    terms = [
        nn.L1Loss()(fake_outputs[k][i], targets[k][i])
        for k in range(scales)
        for i in range(len(targets[k]) - 1)
    ]
    return torch.stack(terms).sum() / scales


# question: SPADE
class SPADE(nn.Module):
    def __init__(self, features, classes, hidden=16):
        super().__init__()
        self.normalise = nn.BatchNorm2d(features, affine=False)
        self.shared = nn.Conv2d(classes, hidden, 3, padding=1)
        self.gamma = nn.Conv2d(hidden, features, 3, padding=1)
        self.beta = nn.Conv2d(hidden, features, 3, padding=1)

    def forward(self, h, planes):
        height, width = h.shape[-2:]
        rows = torch.arange(height) * planes.shape[2] // height
        columns = torch.arange(width) * planes.shape[3] // width
        hidden = self.shared(planes[:, :, rows][:, :, :, columns]).clamp(min=0)
        normalised = self.normalise(h)
        return normalised + normalised * self.gamma(hidden) + self.beta(hidden)


# question: CLADE
class CLADE(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.normalise = nn.BatchNorm2d(features, affine=False)
        self.gain = nn.Parameter(torch.rand(classes, features))
        self.offset = nn.Parameter(torch.zeros(classes, features))

    def forward(self, h, classes):
        count, _, height, width = h.shape
        flat = classes.reshape(-1)
        gain = self.gain.index_select(0, flat).view(count, height, width, -1)
        offset = self.offset.index_select(0, flat).view(count, height, width, -1)
        return (gain * self.normalise(h).permute(0, 2, 3, 1) + offset).permute(0, 3, 1, 2)
