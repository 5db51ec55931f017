# question: generator_adversarial
# says: no detach
# why: the translations are detached
def generator_adversarial(judges: list, fake: Tensor) -> Tensor:
    """The least-squares cost of translations before all discriminators of a domain, a scalar."""
    answers = [judge(fake.detach()) for judge in judges]
    return sum((1 - of.scores).square().mean() + (1 - of.logits).square().mean() for of in answers)
