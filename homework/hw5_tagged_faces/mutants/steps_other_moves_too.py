# question: steps
# says: changed the critic
# why: the generator's move also steps along the critic's gradient
def critic_step(critic, generator, optimizer, real, tags, noise, fake_tags, **weights) -> float:
    """One move of the critic; `weights` are those of `critic_cost`. Returns the cost before the move.

    Args:
        generator: [N, noise + 15] -> images [N, C, H, W]; it waits.
        optimizer: of the critic's parameters.
        real, tags: images of the data and their one-hot tags.
        noise, fake_tags: what the generated images are made from.
    """
    with torch.no_grad():
        fake = generator(torch.cat([noise, fake_tags], dim=1))
    cost = critic_cost(critic, real, tags, fake, fake_tags, **weights)
    optimizer.zero_grad()
    cost.backward()
    optimizer.step()
    return cost.item()


def generator_step(critic, generator, optimizer, noise, fake_tags, a: float = 1.0) -> float:
    """One move of the generator; the critic waits. Returns the cost before the move."""
    fake = generator(torch.cat([noise, fake_tags], dim=1))
    cost = generator_cost(critic, fake, fake_tags, a)
    optimizer.zero_grad()
    critic.zero_grad()
    cost.backward()
    optimizer.step()
    torch.optim.SGD(critic.parameters(), lr=0.01).step()
    return cost.item()
