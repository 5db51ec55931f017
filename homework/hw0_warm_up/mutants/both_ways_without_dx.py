# question: both_ways
# says: times dx
# why: the size of a cell is forgotten
def both_ways(p, q, dx):
    return torch.stack([kl(p, q), kl(q, p)])
