"""Who moves when: the training procedure as an object that can be read, written and compared.

A rule answers one question before every step: which players move now? Everything else about a step
(one forward pass of the generators, gradients that reach the mover only) stays the same, so that two
runs that differ in their rule differ in nothing else.

In text, as on the command line and in a run card: "alternating:5", "simultaneous", "epochs:2",
"loss:0.6", "accuracy:0.8".
"""

import dataclasses
import math
from abc import ABC, abstractmethod
from typing import ClassVar

DISCRIMINATOR, GENERATOR = "discriminator", "generator"


class Turns(ABC):
    """A rule: a frozen dataclass whose fields are numbers with defaults, so that it can be written as text.

    To train by a rule of your own, derive from this class and add it to `KINDS` under its name.
    """

    name: ClassVar[str]
    """The first word of its text."""
    watches: ClassVar[tuple[str, ...]] = ()
    """Players whose terms the rule must see after every step, even of one who rests. On a GPU, this makes
    the machine wait for the device in every step."""
    simultaneous: ClassVar[bool] = False
    """Whether those who move in one step do not see each other's moves."""

    @abstractmethod
    def movers(self, step: int, steps_per_epoch: int, seen: dict[str, float]) -> tuple[str, ...]:
        """Who moves in `step`, counted from 0.

        `seen` holds the terms of the step before, those of the watched players among them; it is empty
        in the first step.
        """


@dataclasses.dataclass(frozen=True)
class Alternating(Turns):
    """`discriminator` moves of the discriminator to `generator` moves of the generator; one of them is 1.

    In a step in which both move, the discriminator moves first and the generator answers the new one.
    1 to 1 is the procedure of DCGAN, 5 to 1 that of Wasserstein GANs (Gulrajani et al. 2017,
    algorithm 1), and k to 1 algorithm 1 of Goodfellow et al. 2014.
    """

    name: ClassVar[str] = "alternating"
    discriminator: int = 1
    generator: int = 1

    def __post_init__(self) -> None:
        if min(self.discriminator, self.generator) != 1:
            raise ValueError(
                f"turns {written(self)}: moves are counted from 1, and one of the two numbers must be 1"
            )

    def movers(self, step: int, steps_per_epoch: int, seen: dict[str, float]) -> tuple[str, ...]:
        """The last step of each cycle is the one in which both move."""
        every = {DISCRIMINATOR: self.generator, GENERATOR: self.discriminator}
        return tuple(player for player, steps in every.items() if (step + 1) % steps == 0)


@dataclasses.dataclass(frozen=True)
class Simultaneous(Turns):
    """Both players move in every step, each by its gradient at the point where both still stand.

    This is the procedure that the theory of the game's dynamics speaks of (Mescheder et al. 2018,
    section 2); `Alternating` lets the generator see the discriminator's move.
    """

    name: ClassVar[str] = "simultaneous"
    simultaneous: ClassVar[bool] = True

    def movers(self, step: int, steps_per_epoch: int, seen: dict[str, float]) -> tuple[str, ...]:
        return DISCRIMINATOR, GENERATOR


@dataclasses.dataclass(frozen=True)
class EveryEpochs(Turns):
    """`epochs` passes over the data for the discriminator, then as many for the generator."""

    name: ClassVar[str] = "epochs"
    epochs: int = 1

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"turns {written(self)}: a turn lasts 1 epoch or more")

    def movers(self, step: int, steps_per_epoch: int, seen: dict[str, float]) -> tuple[str, ...]:
        turn = step // (self.epochs * steps_per_epoch)
        return (DISCRIMINATOR,) if turn % 2 == 0 else (GENERATOR,)


@dataclasses.dataclass(frozen=True)
class ByLoss(Turns):
    """The discriminator moves while its loss was above `threshold` in the last step, else the generator."""

    name: ClassVar[str] = "loss"
    watches: ClassVar[tuple[str, ...]] = (DISCRIMINATOR,)
    threshold: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise ValueError(f"turns {written(self)}: the threshold must be a finite number")

    def movers(self, step: int, steps_per_epoch: int, seen: dict[str, float]) -> tuple[str, ...]:
        loss = seen.get("discriminator", math.inf)
        return (DISCRIMINATOR,) if loss > self.threshold else (GENERATOR,)


@dataclasses.dataclass(frozen=True)
class ByAccuracy(Turns):
    """The generator moves in every step, the discriminator while it is right less often than `threshold`."""

    name: ClassVar[str] = "accuracy"
    watches: ClassVar[tuple[str, ...]] = (DISCRIMINATOR,)
    threshold: float = 0.8

    def __post_init__(self) -> None:
        if not 0.5 <= self.threshold <= 1:
            raise ValueError(
                f"turns {written(self)}: the share of right answers must be from 0.5 (a coin) to 1"
            )

    def movers(self, step: int, steps_per_epoch: int, seen: dict[str, float]) -> tuple[str, ...]:
        rests = seen.get("D accuracy", 0.0) >= self.threshold
        return (GENERATOR,) if rests else (DISCRIMINATOR, GENERATOR)


IN_TURN = Alternating()
"""The discriminator moves, then the generator, in every step."""

KINDS: dict[str, type[Turns]] = {
    kind.name: kind for kind in (Alternating, Simultaneous, EveryEpochs, ByLoss, ByAccuracy)
}


def parse(text: str) -> Turns:
    """The rule written as "kind" or "kind:number" or "kind:number:number".

    >>> parse("alternating:5")
    Alternating(discriminator=5, generator=1)

    Raises ValueError for what is no rule, with an example of each kind.
    """
    name, *words = text.split(":")
    try:
        kind = KINDS[name]
        types = [type(field.default) for field in dataclasses.fields(kind)]
        numbers = [types[place](word) for place, word in enumerate(words)]
    except (KeyError, IndexError, ValueError):  # no such kind, too many numbers, no number
        known = ", ".join(written(kind()) for kind in KINDS.values())
        raise ValueError(f"turns {text!r} is no rule; rules are written like these: {known}") from None
    return kind(*numbers)


def written(turns: Turns) -> str:
    """The inverse of `parse`."""
    return ":".join([turns.name, *map(str, dataclasses.astuple(turns))])
