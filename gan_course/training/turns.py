"""Who moves when: the training procedure as an object that can be read, written and compared.

A rule answers one question before every step: which players move now? Everything else about a step
(one forward pass of the generators, gradients that reach the mover only) stays the same, so that two
runs that differ in their rule differ in nothing else.

In text, as on the command line and in a run card: "alternating:5", "simultaneous", "epochs:2",
"loss:0.6", "accuracy:0.8".
"""

import dataclasses
from typing import ClassVar

DISCRIMINATOR, GENERATOR = "discriminator", "generator"


@dataclasses.dataclass(frozen=True)
class Alternating:
    """`discriminator` moves of the discriminator to `generator` moves of the generator; one of them is 1.

    In a step in which both move, the discriminator moves first and the generator answers the new one.
    (1, 1) is the procedure of DCGAN, (5, 1) that of Wasserstein GANs (Gulrajani et al. 2017,
    algorithm 1), and (k, 1) the k steps of algorithm 1 of Goodfellow et al. 2014.
    """

    name: ClassVar[str] = "alternating"
    watches: ClassVar[tuple[str, ...]] = ()
    discriminator: int = 1
    generator: int = 1

    def __post_init__(self) -> None:
        if min(self.discriminator, self.generator) != 1:
            raise ValueError(
                f"turns alternating:{self.discriminator}:{self.generator}: moves are counted from 1, "
                "and one of the two numbers must be 1"
            )

    def movers(self, step: int, steps_per_epoch: int, seen: dict[str, float]) -> tuple[str, ...]:
        """The last step of each cycle is the one in which both move."""
        moving = []
        if (step + 1) % self.generator == 0:
            moving.append(DISCRIMINATOR)
        if (step + 1) % self.discriminator == 0:
            moving.append(GENERATOR)
        return tuple(moving)


@dataclasses.dataclass(frozen=True)
class Simultaneous:
    """Both players move in every step, each by its gradient at the point where both still stand.

    This is the procedure that the theory of the game's dynamics speaks of (Mescheder et al. 2018,
    section 2); `Alternating` lets the generator see the discriminator's move.
    """

    name: ClassVar[str] = "simultaneous"
    watches: ClassVar[tuple[str, ...]] = ()

    def movers(self, step: int, steps_per_epoch: int, seen: dict[str, float]) -> tuple[str, ...]:
        return DISCRIMINATOR, GENERATOR


@dataclasses.dataclass(frozen=True)
class EveryEpochs:
    """`epochs` passes over the data for the discriminator, then as many for the generator."""

    name: ClassVar[str] = "epochs"
    watches: ClassVar[tuple[str, ...]] = ()
    epochs: int = 1

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"turns epochs:{self.epochs}: a turn lasts 1 epoch or more")

    def movers(self, step: int, steps_per_epoch: int, seen: dict[str, float]) -> tuple[str, ...]:
        turn = step // (self.epochs * steps_per_epoch)
        return (DISCRIMINATOR,) if turn % 2 == 0 else (GENERATOR,)


@dataclasses.dataclass(frozen=True)
class ByLoss:
    """The discriminator moves while its loss is above `threshold`, else the generator does."""

    name: ClassVar[str] = "loss"
    watches: ClassVar[tuple[str, ...]] = (DISCRIMINATOR,)
    threshold: float = 1.0

    def movers(self, step: int, steps_per_epoch: int, seen: dict[str, float]) -> tuple[str, ...]:
        loss = seen.get("discriminator", float("inf"))
        return (DISCRIMINATOR,) if loss > self.threshold else (GENERATOR,)


@dataclasses.dataclass(frozen=True)
class ByAccuracy:
    """The generator moves in every step, the discriminator while it is right less often than `threshold`."""

    name: ClassVar[str] = "accuracy"
    watches: ClassVar[tuple[str, ...]] = (DISCRIMINATOR,)
    threshold: float = 0.8

    def __post_init__(self) -> None:
        if not 0.5 <= self.threshold <= 1:
            raise ValueError(
                f"turns accuracy:{self.threshold}: the share of right answers must be from 0.5 (a coin) to 1"
            )

    def movers(self, step: int, steps_per_epoch: int, seen: dict[str, float]) -> tuple[str, ...]:
        rests = seen.get("D accuracy", 0.0) >= self.threshold
        return (GENERATOR,) if rests else (DISCRIMINATOR, GENERATOR)


Turns = Alternating | Simultaneous | EveryEpochs | ByLoss | ByAccuracy
"""Each has `watches`, the players whose terms it must see after every step, even of one who rests
(this makes the machine wait for the device), and `movers(step, steps_per_epoch, seen)`, where `seen`
holds the watched terms of the step before."""

KINDS: tuple[type, ...] = (Alternating, Simultaneous, EveryEpochs, ByLoss, ByAccuracy)


def parse(text: str) -> Turns:
    """The rule written as "kind" or "kind:number" or "kind:number:number".

    >>> parse("alternating:5")
    Alternating(discriminator=5, generator=1)

    Raises ValueError for what is no rule, with an example of each kind.
    """
    name, *numbers = text.split(":")
    for kind in KINDS:
        fields = dataclasses.fields(kind)
        if kind.name == name and len(numbers) <= len(fields):
            try:
                return kind(*(field.type(n) for field, n in zip(fields, numbers, strict=False)))
            except ValueError as error:
                if str(error).startswith("turns"):
                    raise
                break
    known = ", ".join(written(kind()) for kind in KINDS)
    raise ValueError(f"turns {text!r} is no rule; rules are written like these: {known}")


def written(turns: Turns) -> str:
    """The inverse of `parse`."""
    return ":".join([turns.name, *map(str, dataclasses.astuple(turns))])
