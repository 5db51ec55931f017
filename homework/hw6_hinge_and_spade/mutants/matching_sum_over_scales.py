# question: feature_matching
# says: mean over the scales
# why: the paper's sum where the programs, and this task, average
def feature_matching(real_outputs, fake_outputs):
    total = 0
    for real, fake in zip(real_outputs, fake_outputs, strict=True):
        for r, f in zip(real[:-1], fake[:-1], strict=True):
            total = total + F.l1_loss(f, r.detach())
    return total
