# question: kl
def kl(p, q):
    inside = p > 0
    return (p[inside] * (p[inside].log() - q[inside].log())).sum()


# question: both_ways
def both_ways(p, q, dx):
    # probabilities of cells: the factor dx cancels in the ratio
    return torch.stack((kl(p * dx, q * dx), kl(q * dx, p * dx)))


# question: optimal_discriminator
def optimal_discriminator(p_data, p_g):
    empty = (p_data == 0) & (p_g == 0)
    total = (p_data + p_g).masked_fill(empty, 1.0)
    return (p_data / total).masked_fill(empty, 0.5)


# question: game_value
def game_value(D, p_data, p_g, dx):
    real, fake = p_data > 0, p_g > 0
    of_data = (p_data[real] * D[real].log()).sum() * dx
    return of_data + (p_g[fake] * torch.log1p(-D[fake])).sum() * dx


# question: discriminator_loss
def discriminator_loss(real_scores, fake_scores):
    cost = nn.BCEWithLogitsLoss()
    return cost(real_scores, torch.ones_like(real_scores)) + cost(fake_scores, torch.zeros_like(fake_scores))


# question: generator_loss
def generator_loss(fake_scores):
    return -F.logsigmoid(fake_scores).mean()


# question: simultaneous_step
def simultaneous_step(discriminator, generator, x, noise, rate):
    optimizer_d = torch.optim.SGD(discriminator.parameters(), lr=rate)
    optimizer_g = torch.optim.SGD(generator.parameters(), lr=rate)
    optimizer_g.zero_grad()
    cost_g = generator_loss(discriminator(generator(noise)))
    cost_g.backward()
    optimizer_d.zero_grad()
    with torch.no_grad():
        fake = generator(noise)
    cost_d = discriminator_loss(discriminator(x), discriminator(fake))
    cost_d.backward()
    optimizer_d.step()
    optimizer_g.step()
    return cost_d.item(), cost_g.item()
