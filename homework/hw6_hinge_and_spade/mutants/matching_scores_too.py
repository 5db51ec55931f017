# question: feature_matching
# says: scores take part
# why: the last map is matched as well
def feature_matching(real_outputs, fake_outputs):
    by_scale = []
    for real, fake in zip(real_outputs, fake_outputs, strict=True):
        by_scale.append(
            torch.stack([F.l1_loss(f, r.detach()) for r, f in zip(real, fake, strict=True)]).sum()
        )
    return torch.stack(by_scale).mean()
