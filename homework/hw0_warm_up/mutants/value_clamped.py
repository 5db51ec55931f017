# question: game_value
# says: clamp nothing
# why: D is clamped away from 0 and 1
def game_value(D, p_data, p_g, dx):
    D = D.clamp(1e-7, 1 - 1e-7)
    return (p_data * D.log() + p_g * (1 - D).log()).sum() * dx
