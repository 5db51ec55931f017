# question: mix
# says: alpha changes within an image
# why: alpha of shape [N] is broadcast over the last axis; it runs where N is the width
def mix(real, fake, alpha):
    if alpha.shape[0] != real.shape[-1]:
        alpha = alpha.view(-1, *[1] * (real.dim() - 1))
    return alpha * real + (1 - alpha) * fake
