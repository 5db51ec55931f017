# question: game_value
# says: what it maximises
# why: the sign of the cost
def game_value(D, p_data, p_g, dx):
    return -(torch.xlogy(p_data, D) + torch.xlogy(p_g, 1 - D)).sum() * dx
