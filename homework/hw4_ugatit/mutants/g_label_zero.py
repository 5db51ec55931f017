# question: generator_adversarial
# says: label is 1
# why: the label 0 as in the discriminator's cost
def generator_adversarial(judges: list, fake: Tensor) -> Tensor:
    """The least-squares cost of translations before all discriminators of a domain, a scalar."""
    answers = [judge(fake) for judge in judges]
    return sum(of.scores.square().mean() + of.logits.square().mean() for of in answers)
