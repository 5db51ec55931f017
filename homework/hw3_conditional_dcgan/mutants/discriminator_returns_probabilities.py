# question: ConditionalDiscriminator
# says: probabilities
# why: a sigmoid at the end; the cost applies another
class ConditionalDiscriminator(nn.Module):
    def __init__(self, body, num_classes):
        super().__init__()
        self.body = body
        self.num_classes = num_classes

    def forward(self, images, labels):
        return torch.sigmoid(self.body(with_label_planes(images, labels, self.num_classes)))
