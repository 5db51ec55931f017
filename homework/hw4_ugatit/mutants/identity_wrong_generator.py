# question: identity_cost
# says: wrong generator
# why: each generator is given images of its source domain
def identity_cost(G_ab, G_ba, a: Tensor, b: Tensor) -> Tensor:
    """E|b - G_ba(b)| + E|a - G_ab(a)|, a scalar; a is [N, C, H, W], b [M, C, H, W]."""
    return (b - G_ba(b).image).abs().mean() + (a - G_ab(a).image).abs().mean()
