# question: critic_cost
# says: detach
# why: the fakes are not detached
def critic_cost(
    critic,
    real: Tensor,
    tags: Tensor,
    fake: Tensor,
    fake_tags: Tensor,
    a: float = 1.0,
    b: float = 1.0,
    penalty_weight: float = 10.0,
    rng: torch.Generator | None = None,
) -> Tensor:
    """J^(D), a scalar to be minimised. Its gradient reaches the critic only.

    Args:
        critic: images [N, C, H, W] -> (scores [N], logits of each kind of tag).
        real, tags: images and their tags, one-hot [N, 15].
        fake, fake_tags: generated images, which may hang on a generator, and the tags that were asked for.
        a, b, penalty_weight: weights of the game, of reading generated images, and lambda.
        rng: for the penalty.
    """
    real_scores, real_answers = critic(real)
    fake_scores, fake_answers = critic(fake)
    distance = fake_scores.mean() - real_scores.mean()
    penalty = gradient_penalty(lambda x: critic(x)[0], real, fake, rng)
    reading = classification_loss(real_answers, tags) + b * classification_loss(fake_answers, fake_tags)
    return a * distance + penalty_weight * penalty + reading
