# question: classification_loss
# says: log 6 + log 4
# why: binary cross-entropy over all 15 places
def classification_loss(answers, tags):
    return F.binary_cross_entropy_with_logits(torch.cat(answers, dim=1), tags, reduction="none").sum(1).mean()
