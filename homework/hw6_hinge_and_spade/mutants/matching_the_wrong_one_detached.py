# question: feature_matching
# says: not the generated ones
# why: the generated features are detached, so that nobody learns
def feature_matching(real_outputs, fake_outputs):
    by_scale = []
    for real, fake in zip(real_outputs, fake_outputs, strict=True):
        distances = [F.l1_loss(f.detach(), r.detach()) for r, f in zip(real[:-1], fake[:-1], strict=True)]
        by_scale.append(torch.stack(distances).sum())
    return torch.stack(by_scale).mean()
