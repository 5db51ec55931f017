# question: CLADE
# says: no 1 added
# why: 1 + gain, copied from SPADE
class CLADE(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.normalise = nn.BatchNorm2d(features, affine=False)
        self.gain = nn.Parameter(torch.rand(classes, features))
        self.offset = nn.Parameter(torch.zeros(classes, features))

    def forward(self, h, classes):
        gain, offset = (table[classes].permute(0, 3, 1, 2) for table in (self.gain, self.offset))
        return (1 + gain) * self.normalise(h) + offset
