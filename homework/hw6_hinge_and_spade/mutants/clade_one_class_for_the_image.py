# question: CLADE
# says: at its own pixel
# why: the most frequent class decides for the whole image: conditional batch norm
class CLADE(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.normalise = nn.BatchNorm2d(features, affine=False)
        self.gain = nn.Parameter(torch.rand(classes, features))
        self.offset = nn.Parameter(torch.zeros(classes, features))

    def forward(self, h, classes):
        one = classes.flatten(1).mode(dim=1).values
        gain, offset = (table[one][:, :, None, None] for table in (self.gain, self.offset))
        return gain * self.normalise(h) + offset
