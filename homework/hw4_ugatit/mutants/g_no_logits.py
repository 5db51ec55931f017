# question: generator_adversarial
# says: plays that game too
# why: the auxiliary logits are left out
def generator_adversarial(judges: list, fake: Tensor) -> Tensor:
    """The least-squares cost of translations before all discriminators of a domain, a scalar."""
    answers = [judge(fake) for judge in judges]
    return sum((1 - of.scores).square().mean() for of in answers)
