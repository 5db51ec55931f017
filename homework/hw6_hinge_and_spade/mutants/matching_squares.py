# question: feature_matching
# says: not its square
# why: mean squared differences
def feature_matching(real_outputs, fake_outputs):
    by_scale = []
    for real, fake in zip(real_outputs, fake_outputs, strict=True):
        distances = [F.mse_loss(f, r.detach()) for r, f in zip(real[:-1], fake[:-1], strict=True)]
        by_scale.append(torch.stack(distances).sum())
    return torch.stack(by_scale).mean()
