# question: CLADE
# says: permute
# why: the looked-up rows are viewed as [N, C, H, W]
class CLADE(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.normalise = nn.BatchNorm2d(features, affine=False)
        self.gain = nn.Parameter(torch.rand(classes, features))
        self.offset = nn.Parameter(torch.zeros(classes, features))

    def forward(self, h, classes):
        return self.gain[classes].view(h.shape) * self.normalise(h) + self.offset[classes].view(h.shape)
