# question: one_hot
# says: dtype
# why: F.one_hot returns int64 and nobody changes it
def one_hot(labels, num_classes, dtype=torch.float32):
    return F.one_hot(labels, num_classes)
