# question: one_hot
# says: width
# why: the number of classes is left out, so that the width is the largest label in the batch plus one
def one_hot(labels, num_classes, dtype=torch.float32):
    return F.one_hot(labels).to(dtype)
