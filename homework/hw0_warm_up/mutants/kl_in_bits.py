# question: kl
# says: in nats
# why: log2
def kl(p, q):
    inside = p > 0
    return (p[inside] * (p[inside].log2() - q[inside].log2())).sum()
