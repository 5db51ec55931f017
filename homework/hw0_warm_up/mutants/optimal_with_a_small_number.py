# question: optimal_discriminator
# says: however small
# why: a small number in the denominator turns 1/2 into 0 in empty places and spoils the tails
def optimal_discriminator(p_data, p_g):
    return p_data / (p_data + p_g + 1e-8)
