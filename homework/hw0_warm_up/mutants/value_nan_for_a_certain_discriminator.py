# question: game_value
# says: certain and right
# why: 0 times log 0
def game_value(D, p_data, p_g, dx):
    return (p_data * D.log() + p_g * (1 - D).log()).sum() * dx
