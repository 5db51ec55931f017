# question: loop
# says: 0, 1, 2
# why: steps are counted from 1
def train_in_turns(rule, moves: dict, watch, steps: int) -> list[tuple[int, tuple[str, ...], float]]:
    """Trains for `steps` steps by a rule of turns.

    Args:
        rule: (step, seen) -> names of those who move.
        moves: player -> a function without arguments that moves it and returns its cost.
        watch: a function without arguments: the discriminator's cost, measured at rest.
        steps: how many.

    Returns:
        For each step its number, who moved, and the discriminator's cost.
    """
    log, seen = [], None
    for step in range(steps):
        movers = rule(step + 1, seen)
        costs = {player: moves[player]() for player in (DISCRIMINATOR, GENERATOR) if player in movers}
        seen = costs[DISCRIMINATOR] if DISCRIMINATOR in costs else watch()
        log.append((step, movers, seen))
    return log
