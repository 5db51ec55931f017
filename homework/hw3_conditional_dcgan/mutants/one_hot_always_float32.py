# question: one_hot
# says: dtype that was asked for
# why: the dtype is ignored; it shows only in mixed precision
def one_hot(labels, num_classes, dtype=torch.float32):
    return F.one_hot(labels, num_classes).float()
