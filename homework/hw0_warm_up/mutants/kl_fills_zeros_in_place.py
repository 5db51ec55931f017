# question: kl
# says: in place
# why: the zeros of p are filled so that the logarithm behaves, in the caller's own tensors
def kl(p, q):
    never = p == 0
    if never.any():
        p[never] = 1
        q[never] = 1
    return (p * (p.log() - q.log())).sum()
