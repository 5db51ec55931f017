# question: cycle_cost
# says: no squares
# why: squared differences
def cycle_cost(G_ab, G_ba, a: Tensor, b: Tensor) -> Tensor:
    """E|a - G_ba(G_ab(a))| + E|b - G_ab(G_ba(b))|, a scalar; a is [N, C, H, W], b [M, C, H, W]."""
    back_a = G_ba(G_ab(a).image).image
    back_b = G_ab(G_ba(b).image).image
    return (a - back_a).square().mean() + (b - back_b).square().mean()
