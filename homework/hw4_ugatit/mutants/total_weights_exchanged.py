# question: generators_cost
# says: weights exchanged
# why: the weights of cycle and identity are exchanged
def generators_cost(G_ab, G_ba, judges_a, judges_b, a, b, lambdas=(1.0, 10.0, 10.0, 1000.0)):
    gan = generator_adversarial(judges_b, G_ab(a).image) + generator_adversarial(judges_a, G_ba(b).image)
    terms = {
        "gan": gan,
        "identity": identity_cost(G_ab, G_ba, a, b),
        "cycle": cycle_cost(G_ab, G_ba, a, b),
        "cam": cam_cost(G_ab, G_ba, a, b),
    }
    return sum(weight * term for weight, term in zip(lambdas, terms.values(), strict=True)), terms
