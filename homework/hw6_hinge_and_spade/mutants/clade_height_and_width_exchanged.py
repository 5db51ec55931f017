# question: CLADE
# says: row of its class
# why: movedim from the wrong end: height and width change places, which a square map forgives in shape
class CLADE(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.normalise = nn.BatchNorm2d(features, affine=False)
        self.gain = nn.Parameter(torch.rand(classes, features))
        self.offset = nn.Parameter(torch.zeros(classes, features))

    def forward(self, h, classes):
        gain, offset = (table[classes].transpose(1, 3) for table in (self.gain, self.offset))
        return gain * self.normalise(h) + offset
