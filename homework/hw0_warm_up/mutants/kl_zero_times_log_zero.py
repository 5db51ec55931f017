# question: kl
# says: NaN where p is 0
# why: the formula as it stands
def kl(p, q):
    return (p * torch.log(p / q)).sum()
