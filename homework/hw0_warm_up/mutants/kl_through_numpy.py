# question: kl
# says: no gradient flows
# why: a Python loop over .item(), which loses the graph
def kl(p, q):
    total = 0.0
    for a, b in zip(p.tolist(), q.tolist(), strict=True):
        if a > 0:
            total += a * (math.log(a / b) if b > 0 else math.inf)
    return torch.tensor(total)
