# question: generator_cost
# says: -E D(G(z))
# why: the generator minimises its score
def generator_cost(critic, fake: Tensor, fake_tags: Tensor, a: float = 1.0) -> Tensor:
    """J^(G), a scalar to be minimised. Its gradient reaches the fakes, and through them the generator."""
    scores, answers = critic(fake)
    return a * scores.mean() + classification_loss(answers, fake_tags)
