# question: game_value
# says: over the fakes
# why: both means are taken over the data
def game_value(D, p_data, p_g, dx):
    return (torch.xlogy(p_data, D) + torch.xlogy(p_data, 1 - D)).sum() * dx
