# question: ConditionalGenerator
# says: noise stands first
# why: the one-hot vector before the noise
class ConditionalGenerator(nn.Module):
    def __init__(self, body, num_classes):
        super().__init__()
        self.body = body
        self.num_classes = num_classes

    def forward(self, noise, labels):
        return self.body(torch.cat([one_hot(labels, self.num_classes, noise.dtype), noise], dim=1))
