# question: optimal_discriminator
# says: the ratio at each place
# why: both arguments are normalised first, which changes the ratio where they were not probabilities
def optimal_discriminator(p_data, p_g):
    total = (p_data / p_data.sum() + p_g / p_g.sum()).clamp(min=1e-300)
    return torch.where(p_data + p_g > 0, p_data / p_data.sum() / total, 0.5 + 0 * total)
