# question: cycle_cost
# says: no detach between
# why: the translation is detached before the way back
def cycle_cost(G_ab, G_ba, a: Tensor, b: Tensor) -> Tensor:
    """E|a - G_ba(G_ab(a))| + E|b - G_ab(G_ba(b))|, a scalar; a is [N, C, H, W], b [M, C, H, W]."""
    back_a = G_ba(G_ab(a).image.detach()).image
    back_b = G_ab(G_ba(b).image.detach()).image
    return (a - back_a).abs().mean() + (b - back_b).abs().mean()
