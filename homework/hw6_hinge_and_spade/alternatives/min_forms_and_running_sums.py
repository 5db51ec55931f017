# question: hinge_discriminator
def hinge_discriminator(real_scores, fake_scores):
    zero = torch.zeros((), dtype=real_scores.dtype, device=real_scores.device)
    return -torch.minimum(zero, real_scores - 1).mean() - torch.minimum(zero, -1 - fake_scores).mean()


# question: hinge_generator
def hinge_generator(fake_scores):
    return torch.mean(fake_scores).neg()


# question: discriminator_over_scales
def discriminator_over_scales(real_outputs, fake_outputs):
    total = 0
    for scale in range(len(real_outputs)):
        total = total + hinge_discriminator(real_outputs[scale][-1], fake_outputs[scale][-1])
    return total / len(real_outputs)


# question: generator_over_scales
def generator_over_scales(fake_outputs):
    *_, scores = zip(*fake_outputs, strict=True)
    return sum(hinge_generator(s) for s in scores) / len(scores)


# question: halves
def halves(outputs):
    count = len(outputs[0][0]) // 2
    return [[m[:count] for m in maps] for maps in outputs], [[m[count:] for m in maps] for maps in outputs]


# question: feature_matching
def feature_matching(real_outputs, fake_outputs):
    total = 0.0
    for real, fake in zip(real_outputs, fake_outputs, strict=True):
        for r, f in zip(real[:-1], fake[:-1], strict=True):
            total = total + (f - r.detach()).abs().mean() / len(real_outputs)
    return total


# question: discriminator_turn
def discriminator_turn(discriminator, planes, real, fake):
    joined = torch.cat([torch.cat([planes, x], dim=1) for x in (fake.detach(), real)], dim=0)
    of_fake, of_real = halves(discriminator(joined))
    return discriminator_over_scales(of_real, of_fake)


# question: generator_turn
def generator_turn(discriminator, planes, real, fake, weight=10.0):
    joined = torch.cat([torch.cat([planes, x], dim=1) for x in (fake, real)], dim=0)
    of_fake, of_real = halves(discriminator(joined))
    game = generator_over_scales(of_fake)
    return game if weight == 0 else game + weight * feature_matching(of_real, of_fake)


# question: SPADE
class SPADE(nn.Module):
    def __init__(self, features, classes, hidden=16):
        super().__init__()
        self.normalise = nn.BatchNorm2d(features, affine=False)
        self.shared = nn.Conv2d(classes, hidden, 3, padding=1)
        self.gamma = nn.Conv2d(hidden, features, 3, padding=1)
        self.beta = nn.Conv2d(hidden, features, 3, padding=1)

    def forward(self, h, planes):
        if planes.shape[2:] != h.shape[2:]:
            planes = nn.functional.interpolate(planes, size=(h.size(2), h.size(3)))
        activated = torch.relu(self.shared(planes))
        normalised = self.normalise(h)
        return torch.addcmul(self.beta(activated), normalised, self.gamma(activated) + 1)


# question: CLADE
class CLADE(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.normalise = nn.BatchNorm2d(features, affine=False)
        self.gain = nn.Parameter(torch.rand(classes, features))
        self.offset = nn.Parameter(torch.zeros(classes, features))

    def forward(self, h, classes):
        rows = torch.cat([self.gain, self.offset], dim=1)[classes].movedim(-1, 1)
        gain, offset = rows.chunk(2, dim=1)
        return torch.addcmul(offset, gain, self.normalise(h))
