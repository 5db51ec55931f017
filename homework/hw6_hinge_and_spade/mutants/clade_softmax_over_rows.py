# question: CLADE
# says: no 1 added
# why: the gains are squashed by a softmax over the classes
class CLADE(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.normalise = nn.BatchNorm2d(features, affine=False)
        self.gain = nn.Parameter(torch.rand(classes, features))
        self.offset = nn.Parameter(torch.zeros(classes, features))

    def forward(self, h, classes):
        table = self.gain.softmax(dim=0)
        return table[classes].permute(0, 3, 1, 2) * self.normalise(h) + self.offset[classes].permute(
            0, 3, 1, 2
        )
