# question: hinge_discriminator
# says: the value is wrong
# why: one mean over real and generated scores together
def hinge_discriminator(real_scores, fake_scores):
    return torch.cat([F.relu(1 - real_scores).flatten(), F.relu(1 + fake_scores).flatten()]).mean()
