# question: optimal_discriminator
# says: probability of data
# why: p_g in the numerator
def optimal_discriminator(p_data, p_g):
    total = p_data + p_g
    return torch.where(total > 0, p_g / total, torch.full_like(total, 0.5))
