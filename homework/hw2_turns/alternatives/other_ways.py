# question: by_epochs
def by_epochs(step, steps_per_epoch, epochs=2):
    epoch = step // steps_per_epoch
    inside = epoch % (2 * epochs)
    return ("discriminator",) if inside < epochs else ("generator",)


# question: by_loss
def by_loss(loss, threshold=1.0):
    if loss is not None and loss <= threshold:
        return ("generator",)
    return ("discriminator",)


# question: by_accuracy
def by_accuracy(real_scores, fake_scores, threshold=0.8):
    if real_scores is not None and fake_scores is not None:
        right_real = (real_scores > 0).sum().item() / len(real_scores)
        right_fake = (fake_scores < 0).sum().item() / len(fake_scores)
        if (right_real + right_fake) / 2 >= threshold:
            return ("generator",)
    return ("discriminator", "generator")


# question: waiting
class waiting:
    def __init__(self, network):
        self.network = network

    def __enter__(self):
        self.took = [p.requires_grad for p in self.network.parameters()]
        self.buffers = [b.clone() for b in self.network.buffers()]
        for p in self.network.parameters():
            p.requires_grad = False

    def __exit__(self, kind, error, trace):
        for p, took in zip(self.network.parameters(), self.took, strict=True):
            p.requires_grad = took
        for buffer, value in zip(self.network.buffers(), self.buffers, strict=True):
            buffer.copy_(value)


# question: moves
def move_discriminator(generator, discriminator, optimizer, real, noise):
    optimizer.zero_grad(set_to_none=False)
    with waiting(generator):
        fake = generator(noise).detach()
    real_cost = nn.functional.softplus(-discriminator(real)).mean()
    real_cost.backward()
    fake_cost = nn.functional.softplus(discriminator(fake)).mean()
    fake_cost.backward()
    optimizer.step()
    return (real_cost + fake_cost).item()


def move_generator(generator, discriminator, optimizer, noise):
    with waiting(discriminator):
        scores = discriminator(generator(noise))
        cost = -nn.functional.logsigmoid(scores).mean()
        optimizer.zero_grad()
        cost.backward()
    optimizer.step()
    return cost.item()


# question: loop
def train_in_turns(rule, moves, watch, steps):
    log = []
    for step in range(steps):
        last = log[-1][2] if log else None
        movers = rule(step, last)
        cost = None
        if "discriminator" in movers:
            cost = moves["discriminator"]()
        if "generator" in movers:
            moves["generator"]()
        if cost is None:
            cost = watch()
        log.append((step, movers, cost))
    return log
