# question: mix
def mix(real, fake, alpha):
    shape = [len(real)] + [1] * (real.ndim - 1)
    return torch.lerp(fake, real, alpha.reshape(shape).expand_as(real))


# question: gradient_penalty
def gradient_penalty(critic, real, fake, rng=None):
    shape = (real.shape[0],) + (1,) * (real.dim() - 1)
    eps = torch.rand(shape, generator=rng).to(real)
    points = (eps * real.detach() + (1 - eps) * fake.detach()).clone().requires_grad_()
    scores = critic(points)
    gradient = torch.autograd.grad(
        outputs=scores,
        inputs=points,
        grad_outputs=torch.ones_like(scores),
        create_graph=True,
        retain_graph=True,
    )[0]
    return ((gradient.reshape(len(real), -1).norm(2, dim=1) - 1) ** 2).mean()


# question: classification_loss
def classification_loss(answers, tags):
    total, start = 0, 0
    for answer in answers:
        end = start + answer.shape[1]
        total = total + F.nll_loss(answer.log_softmax(dim=1), tags[:, start:end].argmax(dim=1))
        start = end
    return total


# question: critic
class Block(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.convolution = nn.Conv2d(before, after, kernel_size=5, stride=2, padding=2, bias=False)

    def forward(self, x):
        return F.leaky_relu(self.convolution(x), 0.2)


class TaggedCritic(nn.Module):
    def __init__(self, image_size=32, channels=3, ndf=16, bottleneck=64, tag_sizes=TAG_SIZES):
        super().__init__()
        blocks, features, size = [], ndf, image_size
        while size > 4:
            blocks.append(Block(channels, features))
            channels, features, size = features, 2 * features, size // 2
        self.body = nn.Sequential(*blocks)
        self.score = nn.Linear(channels * 16, 1)
        self.shared = nn.Linear(channels * 16, bottleneck)
        self.hidden = nn.ModuleList([nn.Linear(bottleneck, bottleneck) for _ in tag_sizes])
        self.answers = nn.ModuleList([nn.Linear(bottleneck, places) for places in tag_sizes])

    def forward(self, x):
        flat = self.body(x).flatten(1)
        shared = F.leaky_relu(self.shared(flat), 0.2)
        answers = [
            out(F.leaky_relu(hid(shared), 0.2)) for hid, out in zip(self.hidden, self.answers, strict=True)
        ]
        return self.score(flat)[:, 0], answers


# question: critic_cost
def critic_cost(critic, real, tags, fake, fake_tags, a=1.0, b=1.0, penalty_weight=10.0, rng=None):
    fake = fake.detach()
    scores, answers = critic(torch.cat([real, fake]))
    on_real, on_fake = scores.chunk(2)
    cost = a * (on_fake.mean() - on_real.mean())
    cost = cost + classification_loss([answer.chunk(2)[0] for answer in answers], tags)
    cost = cost + b * classification_loss([answer.chunk(2)[1] for answer in answers], fake_tags)
    if penalty_weight > 0:
        cost = cost + penalty_weight * gradient_penalty(lambda x: critic(x)[0], real, fake, rng)
    return cost


# question: generator_cost
def generator_cost(critic, fake, fake_tags, a=1.0):
    scores, answers = critic(fake)
    return classification_loss(answers, fake_tags) - a * torch.mean(scores)


# question: steps
def critic_step(critic, generator, optimizer, real, tags, noise, fake_tags, **weights):
    optimizer.zero_grad(set_to_none=False)
    fake = generator(torch.cat((noise, fake_tags), 1)).detach()
    cost = critic_cost(critic, real, tags, fake, fake_tags, **weights)
    cost.backward()
    optimizer.step()
    return float(cost.detach())


def generator_step(critic, generator, optimizer, noise, fake_tags, a=1.0):
    critic.requires_grad_(False)
    cost = generator_cost(critic, generator(torch.cat((noise, fake_tags), 1)), fake_tags, a=a)
    optimizer.zero_grad()
    cost.backward()
    optimizer.step()
    critic.requires_grad_(True)
    return float(cost.detach())
