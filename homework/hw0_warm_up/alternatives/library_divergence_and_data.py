# question: kl
def kl(p, q):
    terms = torch.where(p > 0, p * (p / torch.where(p > 0, q, torch.ones_like(q))).log(), torch.zeros_like(p))
    return terms.nansum()


# question: optimal_discriminator
def optimal_discriminator(p_data, p_g):
    return torch.nan_to_num(p_data / (p_data + p_g), nan=0.5)


# question: discriminator_loss
def discriminator_loss(real_scores, fake_scores):
    real = torch.logaddexp(torch.zeros_like(real_scores), -real_scores)
    fake = torch.logaddexp(torch.zeros_like(fake_scores), fake_scores)
    return real.sum() / real.numel() + fake.sum() / fake.numel()


# question: simultaneous_step
def simultaneous_step(discriminator, generator, x, noise, rate):
    gradients = {}
    fakes = generator(noise)
    cost_d = discriminator_loss(discriminator(x), discriminator(fakes))
    cost_g = generator_loss(discriminator(fakes))
    for network, cost in ((discriminator, cost_d), (generator, cost_g)):
        gradients[network] = torch.autograd.grad(cost, tuple(network.parameters()), retain_graph=True)
    for network, slopes in gradients.items():
        for parameter, slope in zip(network.parameters(), slopes, strict=True):
            parameter.data.add_(slope, alpha=-rate)
    return float(cost_d.detach()), float(cost_g.detach())
