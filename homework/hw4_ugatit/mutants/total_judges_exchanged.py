# question: generators_cost
# says: discriminators of B
# why: translations into B stand before the discriminators of A
def generators_cost(
    G_ab, G_ba, judges_a: list, judges_b: list, a: Tensor, b: Tensor, lambdas=(1.0, 10.0, 10.0, 1000.0)
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum, and the four losses by name: "gan", "cycle", "identity", "cam", not weighted.

    Args:
        G_ab, G_ba: the generators.
        judges_a, judges_b: the discriminators of each domain.
        a, b: images of each domain.
        lambdas: weights of gan, cycle, identity and cam.
    """
    gan = generator_adversarial(judges_a, G_ab(a).image) + generator_adversarial(judges_b, G_ba(b).image)
    terms = {
        "gan": gan,
        "cycle": cycle_cost(G_ab, G_ba, a, b),
        "identity": identity_cost(G_ab, G_ba, a, b),
        "cam": cam_cost(G_ab, G_ba, a, b),
    }
    total = sum(weight * term for weight, term in zip(lambdas, terms.values(), strict=True))
    return total, terms
