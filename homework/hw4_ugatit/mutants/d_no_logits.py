# question: discriminator_cost
# says: auxiliary classifier
# why: the auxiliary logits are left out
def discriminator_cost(judges: list, real: Tensor, fake: Tensor) -> Tensor:
    """The cost of all discriminators of one domain, a scalar; its gradient reaches them only.

    Args:
        judges: the discriminators of the domain.
        real: images [N, C, H, W] of the domain.
        fake: translations [N, C, H, W] into it, which hang on a generator.
    """
    cost = 0
    for judge in judges:
        of_real, of_fake = judge(real), judge(fake.detach())
        cost = cost + (1 - of_real.scores).square().mean() + of_fake.scores.square().mean()
    return cost
