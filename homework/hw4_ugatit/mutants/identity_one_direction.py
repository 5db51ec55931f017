# question: identity_cost
# says: both directions
# why: only one direction
def identity_cost(G_ab, G_ba, a: Tensor, b: Tensor) -> Tensor:
    """E|b - G_ab(b)| + E|a - G_ba(a)|, a scalar; a is [N, C, H, W], b [M, C, H, W]."""
    return (b - G_ab(b).image).abs().mean()
