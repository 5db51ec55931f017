# question: kl
# says: not the mean
# why: the mean over the outcomes, though p already weights them
def kl(p, q):
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).mean()
