# question: classification_loss
# says: sum over the four kinds
# why: the mean over the kinds of tags
def classification_loss(answers: list[Tensor], tags: Tensor) -> Tensor:
    """C(x, t): minus the log-probability of the true tags, summed over the kinds, a mean over the batch.

    Args:
        answers: for each kind of tag logits [N, places of the kind].
        tags: one-hot groups side by side in the same order, floats [N, all places].

    Returns:
        A scalar.
    """
    groups = tags.split([answer.shape[1] for answer in answers], dim=1)
    return sum(F.cross_entropy(answer, group) for answer, group in zip(answers, groups, strict=True)) / len(
        answers
    )
