# question: ConditionalGenerator
# says: dtype
# why: the vectors stay float32, torch.cat promotes the noise, and a bfloat16 body refuses it
class ConditionalGenerator(nn.Module):
    def __init__(self, body, num_classes):
        super().__init__()
        self.body = body
        self.num_classes = num_classes

    def forward(self, noise, labels):
        return self.body(torch.cat([noise, one_hot(labels, self.num_classes)], dim=1))
