# question: adalin
def adalin(x, gamma, beta, rho, eps=1e-5):
    n, c, height, width = x.shape
    instance = F.instance_norm(x, eps=eps)
    layer = F.layer_norm(x, (c, height, width), eps=eps)
    mixed = torch.lerp(layer, instance, rho.expand_as(x))
    return mixed * gamma.view(n, c, 1, 1) + beta.view(n, c, 1, 1)


# question: clip_rho
def clip_rho(network):
    for module in network.modules():
        if hasattr(module, "rho"):
            module.rho.data = module.rho.data.clamp(min=0.0, max=1.0)


# question: discriminator_cost
def discriminator_cost(judges, real, fake):
    fake = fake.detach()
    costs = []
    for judge in judges:
        for images, label in ((real, 1.0), (fake, 0.0)):
            said = judge(images)
            for output in (said.scores, said.logits):
                costs.append(F.mse_loss(output, torch.full_like(output, label)))
    return torch.stack(costs).sum()


# question: generator_adversarial
def generator_adversarial(judges, fake):
    total = fake.new_zeros(())
    for judge in judges:
        said = judge(fake)
        total = total + torch.mean((said.scores - 1) ** 2) + torch.mean((said.logits - 1) ** 2)
    return total


# question: cycle_cost
def cycle_cost(G_ab, G_ba, a, b):
    return F.l1_loss(G_ba(G_ab(a).image).image, a) + F.l1_loss(G_ab(G_ba(b).image).image, b)


# question: identity_cost
def identity_cost(G_ab, G_ba, a, b):
    return F.l1_loss(G_ba(a).image, a) + F.l1_loss(G_ab(b).image, b)


# question: cam_cost
def cam_cost(G_ab, G_ba, a, b):
    def asked(logits, yes):
        label = torch.ones_like(logits) if yes else torch.zeros_like(logits)
        return F.binary_cross_entropy_with_logits(logits, label)

    first = asked(G_ab(a).logits, True) + asked(G_ab(b).logits, False)
    return first + asked(G_ba(b).logits, True) + asked(G_ba(a).logits, False)


# question: generators_cost
def generators_cost(G_ab, G_ba, judges_a, judges_b, a, b, lambdas=(1.0, 10.0, 10.0, 1000.0)):
    there, back = G_ab(a), G_ba(b)
    terms = {}
    terms["cam"] = cam_cost(G_ab, G_ba, a, b)
    terms["gan"] = generator_adversarial(judges_a, back.image) + generator_adversarial(judges_b, there.image)
    terms["cycle"] = (a - G_ba(there.image).image).abs().mean() + (b - G_ab(back.image).image).abs().mean()
    terms["identity"] = identity_cost(G_ab, G_ba, a, b)
    names = ("gan", "cycle", "identity", "cam")
    return torch.stack([lam * terms[name] for lam, name in zip(lambdas, names, strict=True)]).sum(), terms
