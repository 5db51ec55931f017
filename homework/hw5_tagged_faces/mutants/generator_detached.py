# question: generator_cost
# says: no detach
# why: the fakes are detached in the generator's cost too
def generator_cost(critic, fake: Tensor, fake_tags: Tensor, a: float = 1.0) -> Tensor:
    """J^(G), a scalar to be minimised. Its gradient reaches the fakes, and through them the generator."""
    scores, answers = critic(fake.detach())
    return -a * scores.mean() + classification_loss(answers, fake_tags)
