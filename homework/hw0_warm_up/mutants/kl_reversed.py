# question: kl
# says: wrong direction
# why: KL(q || p) in place of KL(p || q), as F.kl_div's order of arguments invites
def kl(p, q):
    return F.kl_div(p.log(), q, reduction="sum")
