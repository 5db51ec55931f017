# question: both_ways
# says: forward is KL(p || q)
# why: reverse first
def both_ways(p, q, dx):
    return torch.stack([kl(q, p), kl(p, q)]) * dx
