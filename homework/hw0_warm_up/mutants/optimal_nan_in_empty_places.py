# question: optimal_discriminator
# says: return 1/2 there
# why: 0 / 0 where nobody is
def optimal_discriminator(p_data, p_g):
    return p_data / (p_data + p_g)
