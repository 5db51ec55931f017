# question: both_ways
# says: torch.stack keeps it
# why: torch.tensor of two numbers cuts the graph
def both_ways(p, q, dx):
    return torch.tensor([kl(p, q).item() * dx, kl(q, p).item() * dx], dtype=p.dtype)
