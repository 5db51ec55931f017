# question: cycle_cost
# says: both directions
# why: only one direction
def cycle_cost(G_ab, G_ba, a: Tensor, b: Tensor) -> Tensor:
    """E|a - G_ba(G_ab(a))| + E|b - G_ab(G_ba(b))|, a scalar; a is [N, C, H, W], b [M, C, H, W]."""
    back_a = G_ba(G_ab(a).image).image
    return (a - back_a).abs().mean()
