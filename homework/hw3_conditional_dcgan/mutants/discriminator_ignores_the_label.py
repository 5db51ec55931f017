# question: ConditionalDiscriminator
# says: ignores the label
# why: the planes of label 0 for everybody: labels to only one player
class ConditionalDiscriminator(nn.Module):
    def __init__(self, body, num_classes):
        super().__init__()
        self.body = body
        self.num_classes = num_classes

    def forward(self, images, labels):
        return self.body(with_label_planes(images, torch.zeros_like(labels), self.num_classes))
