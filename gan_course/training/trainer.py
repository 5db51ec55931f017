"""The one loop.

It knows nothing of any paper: a method says what its networks see, who moves and what each mover
minimises (gan_course/methods/base.py). It owns what a paper does not talk about: the device and the
precision, the order of the data, the average of the weights, the log, the samples, and that a run
killed at any moment goes on from its last checkpoint to the same bits.
"""

import contextlib
import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from gan_course import data
from gan_course.methods import Method
from gan_course.methods.base import Batch
from gan_course.progress import shows_progress
from gan_course.training import checkpoints, distributed, log
from gan_course.training import turns as rules
from gan_course.training.board import Board
from gan_course.training.ema import WeightAverage
from gan_course.training.files import replacing
from gan_course.training.interrupts import Interrupted, StopRequest
from gan_course.training.run import (
    CARD,
    WEIGHTS,
    Run,
    machine,
    read_card,
    save_weights,
    versions,
    write_card,
)
from gan_course.training.settings import TrainingSettings, choose_device, learning_rate_factor
from gan_course.training.views import compiled, split_over_gpus

# Changing these between a run and its resumption would make it another run.
FIXED_SETTINGS = (
    "batch_size",
    "accumulate",
    "seed",
    "turns",
    "precision",
    "channels_last",
    "ema",
    "warmup",
    "decay",
    "flip",
    "crop_size",
    "preview_count",
)
MEASURES = "fid.csv"


class Diverged(RuntimeError):
    """A loss or a weight stopped being a finite number."""


@dataclasses.dataclass
class State:
    """Everything that a run is, between two steps."""

    method: Method
    optimizers: dict[str, torch.optim.Optimizer]
    average: WeightAverage
    interval: log.Interval = dataclasses.field(default_factory=log.Interval)
    step: int = 0
    seen: dict[str, float] = dataclasses.field(default_factory=dict)
    """What the rule of the turns watches, as it was in the last step."""
    saved: int | None = None
    """The step of the last checkpoint."""
    seconds: float = 0.0
    ticked: float = dataclasses.field(default_factory=time.perf_counter)

    def tick(self) -> None:
        """Adds the time since the last tick to the seconds that the run has taken."""
        now = time.perf_counter()
        self.seconds += now - self.ticked
        self.ticked = now

    def as_dict(self) -> dict[str, Any]:
        """Tensors and plain values only, so that it loads with weights_only=True."""
        averaged = self.average.averaged
        self.interval.average_over_ranks()
        return {
            "step": self.step,
            "seconds": self.seconds,
            "method": self.method.state_dict(),
            "optimizers": {player: optimizer.state_dict() for player, optimizer in self.optimizers.items()},
            "average": None if averaged is None else averaged.state_dict(),
            "interval": {"sums": self.interval.sums, "counts": self.interval.counts},
            "seen": self.seen,
            "random": distributed.gather(checkpoints.random_state()),
        }

    def load_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `as_dict`."""
        self.step = self.saved = saved["step"]
        self.seconds = saved["seconds"]
        self.method.load_state_dict(saved["method"])
        for player, optimizer in self.optimizers.items():
            optimizer.load_state_dict(saved["optimizers"][player])
        if self.average.averaged is not None:
            self.average.averaged.load_state_dict(saved["average"])
        device = self.method.device
        self.interval.sums = {name: term.to(device) for name, term in saved["interval"]["sums"].items()}
        self.interval.counts = saved["interval"]["counts"]
        self.seen = saved["seen"]
        # a rank that the run did not have before goes on with noise of its own
        if distributed.rank() < len(saved["random"]):
            checkpoints.set_random_state(saved["random"][distributed.rank()])


def train(
    method: Method,
    images: data.ImageSet,
    out: str | Path,
    settings: TrainingSettings | None = None,
    *,
    resume: bool = False,
    progress: bool | None = None,
    held_out: data.ImageSet | None = None,
    measure: Callable[[Method], dict[str, float]] | None = None,
    **fields: Any,
) -> Run:
    """Trains `method` on `images` and leaves a run in the folder `out`.

    Args:
        method: from `methods.build`, possibly changed by you. It is trained in place; its first weights
            are those that it comes with, so seed torch before building it.
        images: a data set with what the method needs (its `needs`), of its size and channels.
        out: folder of the run: run.json, log.csv, samples/, checkpoint.pt, generator.safetensors.
        settings: how long, how fast, how often. Its fields may be given by name instead, or beside it
            to change some (steps=1000, batch_size=64).
        resume: go on from the last checkpoint in `out`; with none there, start.
        progress: show a progress bar. None: on a terminal or in a notebook.
        held_out: what the sample grid of a method that translates starts from. None: training images.
        measure: called every `measure_every` epochs with the method, its weights averaged where `ema`
            asks for it; the numbers that it returns are a line of fid.csv.

    Returns:
        The run, with the averaged weights where `ema` asks for an average.

    Raises:
        ValueError: settings, data and method do not fit each other, or those of the run to resume.
        FileExistsError: `out` holds a run already and `resume` is not given.
        OSError: a full disk, an image that cannot be read; the last good checkpoint is named and kept.
        Diverged: a loss stopped being finite; the last good checkpoint is named and kept.
        Interrupted: Ctrl-C, after the state was saved; the message says how to go on.
    """
    out = Path(out)
    settings = dataclasses.replace(settings or TrainingSettings(), **fields)
    turns = rules.parse(settings.turns or method.turns)
    settings = dataclasses.replace(settings, turns=rules.written(turns))
    device = distributed.join(choose_device(settings.device))
    check_fit(method, images, settings)
    if settings.measure_every and measure is None:
        raise ValueError(f"measure_every is {settings.measure_every}, but there is nothing to measure by")
    board = Board(out, on=settings.tensorboard and distributed.rank() == 0)

    # ---- 1. The state at step 0 --------------------------------------------------------------------
    torch.manual_seed(distributed.own_seed(settings.seed))
    layout = torch.channels_last if settings.channels_last else torch.contiguous_format
    method = method.to(device, memory_format=layout).train()
    distributed.share(value for value in method.state_dict().values() if isinstance(value, Tensor))
    players = split_over_gpus(method, settings.gpus)
    players = compiled(players) if settings.compile else players
    state = State(
        method=method,
        optimizers={player: method.optimizer(player) for player in method.players},
        average=WeightAverage(method, settings.ema),
    )
    preview = method.preview(
        settings.preview_count,
        torch.Generator().manual_seed(settings.seed),
        examples_of(held_out or images, settings, device),
    )

    # ---- 2. Its folder, or the state of the run to go on with --------------------------------------
    card = describe(method, images, settings, device)
    saved = distributed.on_first(open_folder, out, card, resume)
    if saved is not None:
        restore(state, saved, out)

    # ---- 3. The loop -------------------------------------------------------------------------------
    total = settings.total_steps(len(images))
    steps_per_epoch = len(images) // settings.batch_size
    measured_steps = round(settings.measure_every * steps_per_epoch)
    batches = data.batches(
        images,
        settings.batch_size,
        settings.seed,
        start_step=state.step,
        device=device,
        flip=settings.flip,
        crop_size=settings.crop_size,
    )
    shown = shows_progress(progress) and distributed.rank() == 0
    bar = tqdm(total=total, initial=state.step, unit="step", disable=not shown)
    logged_step, logged_seconds = state.step, state.seconds
    with bar, contextlib.closing(board), how_to_go_on(out, state), StopRequest() as stop:
        if state.step == 0:
            distributed.on_first(draw_samples, out, state, preview, board)
            save(out, state, card)
        while state.step < total and not distributed.any_rank(stop.requested):
            batch = laid_out(distributed.own_slice(next(batches)), layout)
            factor = learning_rate_factor(state.step, total, settings.decay, settings.warmup)
            scale_learning_rates(state.optimizers, factor)
            movers = turns.movers(state.step, steps_per_epoch, state.seen)
            terms = play(
                players, state.optimizers, batch, settings.precision, turns, movers, settings.accumulate
            )
            state.interval.add(terms)
            if turns.watches:
                state.seen = log.numbers(terms)
            state.average.update(state.step)
            state.step += 1
            bar.update()

            last = state.step == total
            if state.step % settings.log_every == 0 or last:
                means = state.interval.means()
                check_finite(means, out, state)
                state.interval = log.Interval()
                state.tick()
                images_seen = (state.step - logged_step) * settings.batch_size
                speed = images_seen / (state.seconds - logged_seconds)
                logged_step, logged_seconds = state.step, state.seconds
                timing = {"images_per_second": round(speed, 1), "seconds": round(state.seconds, 3)}
                row = {"step": state.step, **means, **timing}
                distributed.on_first(log.append, out / "log.csv", row)
                board.scalars(state.step, row)
                shown_means = [f"{name} {value:.2f}" for name, value in means.items()]
                bar.set_postfix_str(", ".join([*shown_means, f"{speed:.0f} images/s"]))
            if state.step % settings.sample_every == 0 or last:
                distributed.on_first(draw_samples, out, state, preview, board)
            if measured_steps and (state.step % measured_steps == 0 or last):
                distributed.on_first(take_measure, out, state, measure, steps_per_epoch)
            if state.step % settings.save_every == 0 or last:
                save(out, state, card, finished=last)
        if state.step < total:
            save(out, state, card)
            raise Interrupted(
                f"stopped at step {state.step} of {total}; everything is saved in {out}. "
                f"To go on, run the same again with resume=True (on the command line: --resume)."
            )

    # ---- 4. What is left behind --------------------------------------------------------------------
    for name, network in state.average.current.items():
        setattr(method, name, network)
    return Run(out, distributed.on_first(read_card, out), method.eval())


# ---- one step ------------------------------------------------------------------------------------


def play(
    method: Method,
    optimizers: dict[str, torch.optim.Optimizer],
    batch: Batch,
    precision: str = "float32",
    turns: rules.Turns = rules.IN_TURN,
    movers: tuple[str, ...] | None = None,
    accumulate: int = 1,
) -> dict[str, Tensor]:
    """One step of the game: the generators run once, then the movers move, in the method's order.

    Args:
        method, optimizers: the networks, and what moves them, by player.
        batch: real images and what else the method needs.
        precision: "float32", or "bfloat16" for mixed precision.
        turns: the rule; it says whether the movers see each other's moves, and who is watched at rest.
        movers: who moves in this step. None: every player.
        accumulate: parts that the batch is worked through in. With more than one, the generators run
            again for each player, so that only one part's activations are held at a time.

    Returns:
        The named terms of those who moved or are watched, still on the device.
    """
    movers = tuple(method.players) if movers is None else movers
    autocast = torch.autocast(method.device.type, torch.bfloat16, enabled=precision == "bfloat16")
    with autocast:
        shared = generate(method, batch, movers) if accumulate == 1 else None

    seen: dict[str, Tensor] = {}
    for player in method.players:
        if player not in (*movers, *turns.watches):
            continue
        mover = (player,) if player in movers else ()  # who is only watched gets no gradient
        if mover:
            optimizers[player].zero_grad(set_to_none=True)
        terms_of_parts = []
        for part in split(batch, accumulate):
            with autocast:
                outputs = shared if accumulate == 1 else generate(method, part, mover)
            with method.moving(*mover), autocast:
                terms = method.loss(player, part, outputs)
                cost = method.total(terms) / accumulate
            if mover:
                cost.backward()
            terms_of_parts.append({name: term.detach() for name, term in terms.items()})
        if mover and not turns.simultaneous:
            move(method, optimizers, player)
        seen |= average(terms_of_parts)
    if turns.simultaneous:
        for player in movers:
            move(method, optimizers, player)
    return seen


def generate(method: Method, batch: Batch, movers: tuple[str, ...]) -> Batch:
    """What the players look at; without a graph, and no buffer moved, where no mover changes a generator."""
    moved = {network for player in movers for network in method.players[player]}
    if moved & set(method.sampling_networks):
        return method.forward_generators(batch)
    with method.moving(), torch.no_grad():
        return method.forward_generators(batch)


def move(method: Method, optimizers: dict[str, torch.optim.Optimizer], player: str) -> None:
    """The player's step along the gradients that it has, averaged over the processes that share a batch."""
    parameters = method.parameters_of(player)
    distributed.average(p.grad for p in parameters if p.grad is not None)
    optimizers[player].step()
    method.constrain(player)


def split(batch: Batch, parts: int) -> list[Batch]:
    """The batch in `parts` equal parts, in order."""
    pieces = {name: value.chunk(parts) for name, value in batch.items()}
    return [{name: piece[k] for name, piece in pieces.items()} for k in range(parts)]


def average(terms: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each term over the parts of a batch."""
    return {name: torch.stack([part[name] for part in terms]).mean() for name in terms[0]}


def laid_out(batch: dict[str, Tensor], layout: torch.memory_format) -> dict[str, Tensor]:
    """The batch with its images in the memory layout of the networks."""
    return {k: v.contiguous(memory_format=layout) if v.dim() == 4 else v for k, v in batch.items()}


def scale_learning_rates(optimizers: dict[str, torch.optim.Optimizer], factor: float) -> None:
    """Sets every learning rate to `factor` times the one that the method asked for."""
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = factor * group.setdefault("initial_lr", group["lr"])


# ---- before it -----------------------------------------------------------------------------------


def check_fit(method: Method, images: data.ImageSet, settings: TrainingSettings) -> None:
    """Raises ValueError where the data cannot train the method."""
    if len(images) < settings.batch_size:
        raise ValueError(
            f"batch_size is {settings.batch_size}; the data set {images.name} has {len(images)} images"
        )
    ranks = distributed.ranks()
    if settings.batch_size % (ranks * settings.accumulate):
        raise ValueError(
            f"a batch of {settings.batch_size} cannot be shared by {ranks} processes"
            f" in {settings.accumulate} equal parts each"
        )
    held = images.batch([0])
    image = next(iter(held.values()))
    missing = [name for name in method.needs if name not in held]
    if missing:
        raise ValueError(f"{method.name} needs {', '.join(missing)}; the data set {images.name} has none")
    if settings.crop_size > images.image_size:
        raise ValueError(
            f"crop_size is {settings.crop_size}; the images of {images.name} have {images.image_size} pixels"
        )
    size = settings.crop_size or images.image_size
    offered = {name: getattr(images, name) for name in ("channels", "num_classes")}
    offered |= {"image_size": size, "data_shape": (*image.shape[1:-2], size, size)}
    if "input" in held:
        offered["input_channels"] = held["input"].shape[1]
    for name, value in offered.items():
        wanted = getattr(method.config, name, value)
        if wanted != value:
            raise ValueError(f"{method.name} is built for {name} {wanted}; {images.name} has {value}")
    classes = len(images.map_names) if "label_map" in method.needs else 0
    known = getattr(method.config, "label_nc", classes) + getattr(method.config, "contain_dontcare", False)
    if classes > known:
        raise ValueError(
            f"{method.name} is built for label_nc {method.config.label_nc}; the label maps of {images.name} "
            f"have {classes} classes"
        )


def describe(method: Method, images: data.ImageSet, settings: TrainingSettings, device: torch.device) -> dict:
    """The run card at the start."""
    return {
        "method": method.name,
        "paper": method.paper,
        "config": dataclasses.asdict(method.config),
        "data": {
            "name": images.name,
            "count": len(images),
            "image_size": images.image_size,
            "channels": images.channels,
            "class_names": list(images.class_names),
            "sha256": images.digest,
        },
        "settings": dataclasses.asdict(settings),
        "versions": versions(),
        "machine": machine(device),
        "status": "training",
        "step": 0,
        "seconds": 0.0,
        "images_per_second": None,
        "metrics": {},
    }


def open_folder(out: Path, card: dict[str, Any], resume: bool) -> dict[str, Any] | None:
    """Makes the folder of a run, or makes sure that what is there is the same run and may go on.

    Returns the state to go on with; None at the start. Raises FileExistsError, or ValueError listing
    every difference.
    """
    if (out / CARD).exists():
        before = read_card(out)
        if not resume:
            raise FileExistsError(
                f"{out} holds a run already ({before['method']}, step {before['step']}); "
                f"resume it (resume=True, --resume) or choose another folder"
            )
        changed = changes(before, card)
        if changed:
            raise ValueError(f"{out} cannot be resumed with other settings: {'; '.join(changed)}")
    elif out.exists() and (not out.is_dir() or any(not path.name.startswith(".") for path in out.iterdir())):
        raise FileExistsError(f"{out} is not a run and not an empty folder; choose another")
    else:
        out.mkdir(parents=True, exist_ok=True)
        write_card(out, card)
    (out / "samples").mkdir(exist_ok=True)
    saved = checkpoints.load(out) if checkpoints.exists(out) else None
    for name in ("log.csv", MEASURES):
        log.cut(out / name, saved["step"] if saved else 0)
    return saved


def restore(state: State, saved: dict[str, Any], out: Path) -> None:
    """Brings the state to that of a checkpoint. Raises ValueError where it holds something else."""
    try:
        state.load_dict(saved)
    except (LookupError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()[:40])
        raise ValueError(
            f"the checkpoint in {out} does not fit this run ({reason}); another version of the course may "
            "have written it: start the run afresh"
        ) from error


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What makes the run of one card another run than that of the other, one sentence each."""
    now = json.loads(json.dumps(now))  # as a card on disk is: tuples become lists
    pairs = [("method", before["method"], now["method"])]
    pairs += [("data", before["data"].get("name"), now["data"]["name"])]
    pairs += [("data sha256", before["data"].get("sha256"), now["data"]["sha256"])]
    pairs += [(name, before["config"].get(name), value) for name, value in now["config"].items()]
    defaults = dataclasses.asdict(TrainingSettings())  # a run from before a setting was there
    settings = defaults | before["settings"]
    pairs += [(name, settings[name], now["settings"][name]) for name in FIXED_SETTINGS]
    return [f"{name} was {old} and is now {new}" for name, old, new in pairs if old != new]


# ---- what is written -----------------------------------------------------------------------------


def examples_of(images: data.ImageSet, settings: TrainingSettings, device: torch.device) -> dict[str, Tensor]:
    """The first rows of a data set, again from the start where it is shorter; the middle of each image where
    crops are trained on."""
    inner = data.centre(images, settings.crop_size) if settings.crop_size else images
    batch = inner.batch([k % len(images) for k in range(settings.preview_count)])
    return {name: value.to(device) for name, value in batch.items()}


def take_measure(out: Path, state: State, measure: Callable, steps_per_epoch: int) -> None:
    """A line of fid.csv, and no trace of the measuring in the training."""
    with kept_random_state(), state.average.applied(state.method):
        found = measure(state.method)
    log.append(out / MEASURES, {"step": state.step, "epoch": round(state.step / steps_per_epoch, 2), **found})


@contextlib.contextmanager
def kept_random_state() -> Iterator[None]:
    """Within: numbers may be drawn at random; afterwards it is as if none had been."""
    before = checkpoints.random_state()
    try:
        yield
    finally:
        checkpoints.set_random_state(before)


def draw_samples(out: Path, state: State, preview: dict[str, Tensor], board: Board) -> None:
    """The sample grid of this step, always from the same noise or the same images."""
    with state.average.applied(state.method):
        images, columns = state.method.grid(preview)
    # imported where a grid is written: it takes longer than torch itself
    from torchvision.utils import save_image

    picture = out / "samples" / f"{state.step:08d}.png"
    with replacing(picture) as path:
        save_image(images, path, format="png", nrow=columns, normalize=True, value_range=(-1, 1))
    board.grid(state.step, picture)


def save(out: Path, state: State, card: dict[str, Any], finished: bool = False) -> None:
    """Weights to sample from, the card and the checkpoint, each complete or not at all.

    The checkpoint comes last: it says how far the run is, so a run killed before it does the rest again.

    Raises Diverged rather than overwrite a good checkpoint with numbers that are not finite.
    """
    check_finite(state.interval.means(), out, state)
    broken = [name for name, value in state.method.named_parameters() if not bool(value.isfinite().all())]
    check_finite({f"weight {name}": math.nan for name in broken[:1]}, out, state)
    state.tick()
    seen = state.step * card["settings"]["batch_size"]
    card |= {
        "status": "finished" if finished else "training",
        "step": state.step,
        "seconds": round(state.seconds, 1),
        "images_per_second": round(seen / state.seconds, 1) if seen else None,
    }
    state_of_ranks = state.as_dict()

    def write() -> None:
        save_weights(out / WEIGHTS, state.average.current)
        write_card(out, card)
        checkpoints.save(out, state_of_ranks)

    distributed.on_first(write)
    state.saved = state.step


def check_finite(means: dict[str, float], out: Path, state: State) -> None:
    """Raises Diverged if a term is not a finite number."""
    bad = [f"{name} is {value}" for name, value in means.items() if not math.isfinite(value)]
    if bad:
        raise Diverged(
            f"{', '.join(bad)} by step {state.step}: {kept(out, state)}. "
            "Try a lower learning rate or another seed."
        )


@contextlib.contextmanager
def how_to_go_on(out: Path, state: State) -> Iterator[None]:
    """Within: a file that cannot be read or written ends the run with what is kept and what to do."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"{error}; stopped at step {state.step}, {kept(out, state)}. To go on, mend the cause and run "
            "the same again with resume=True (on the command line: --resume)."
        ) from error


def kept(out: Path, state: State) -> str:
    """The last good state of a run that failed."""
    if state.saved is None:
        return "there was no checkpoint yet"
    return f"the last good checkpoint is {out / checkpoints.NAME}, step {state.saved}"
