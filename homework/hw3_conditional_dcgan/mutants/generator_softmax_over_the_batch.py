# question: ConditionalGenerator
# says: one-hot vector
# why: the label's vector is "normalised" by a softmax, over the batch axis at that
class ConditionalGenerator(nn.Module):
    def __init__(self, body, num_classes):
        super().__init__()
        self.body = body
        self.num_classes = num_classes

    def forward(self, noise, labels):
        vectors = one_hot(labels, self.num_classes, noise.dtype).softmax(dim=0)
        return self.body(torch.cat([noise, vectors], dim=1))
