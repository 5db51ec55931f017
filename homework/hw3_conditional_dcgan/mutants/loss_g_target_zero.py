# question: generator_loss
# says: paid for being found out
# why: the target of the fakes is 0 here too
def generator_loss(discriminator, generator, labels, noise):
    scores = discriminator(generator(noise, labels), labels)
    return F.binary_cross_entropy_with_logits(scores, torch.zeros_like(scores))
