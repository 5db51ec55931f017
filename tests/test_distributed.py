"""Two processes on CPU that share every batch play the game of one process with the whole batch."""

import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from gan_course import training
from gan_course.data import ImageSet
from gan_course.methods.gan import GAN, GANConfig
from gan_course.training import distributed, trainer
from gan_course.training.trainer import play

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not torch.distributed.is_available(), reason="torch.distributed is not here"
)

STEPS = 8
SETTINGS = {
    "batch_size": 8,
    "device": "cpu",
    "log_every": 3,
    "save_every": 4,
    "sample_every": 4,
    "preview_count": 4,
    "ema": 0.5,
}


class OneNoise(GAN):
    """Each rank takes its slice of a noise that is drawn for all; no dropout, which would draw more."""

    def __init__(self) -> None:
        sizes = {"generator_features": 8, "discriminator_features": 4, "noise_size": 6}
        no_dropout = {"input_dropout": 0.0, "hidden_dropout": 0.0}
        super().__init__(
            GANConfig(data_shape=(1, 8, 8), **sizes, **no_dropout, learning_rate=0.2, init_range=0.5)
        )
        self.joint = torch.Generator().manual_seed(7)

    def draw_noise(self, count, rng=None):
        if rng is not None:
            return super().draw_noise(count, rng)
        ranks, rank = distributed.ranks(), distributed.rank()
        return super().draw_noise(count * ranks, self.joint).chunk(ranks)[rank]


def make(seed: int = 0) -> OneNoise:
    torch.manual_seed(seed)
    return OneNoise()


def toy_images(count: int = 40) -> ImageSet:
    rng = torch.Generator().manual_seed(0)
    return ImageSet(
        "toy", {"image": torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=rng)}
    )


# ---- what a rank does --------------------------------------------------------------------------------


def a_rank(function, rank: int, ranks: int, port: int, arguments: tuple) -> None:
    """As torchrun starts it."""
    addressed = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": rank, "LOCAL_RANK": rank}
    os.environ.update({key: str(value) for key, value in (addressed | {"WORLD_SIZE": ranks}).items()})
    torch.set_num_threads(1)
    function(*arguments)
    torch.distributed.destroy_process_group()


def one_step(out: Path, rule: str) -> None:
    """One step of the game; each rank writes the gradients that it moved by."""
    distributed.join(torch.device("cpu"))
    method = make()
    optimizers = {player: method.optimizer(player) for player in method.players}
    batch = distributed.own_slice(toy_images().batch(range(8)))
    play(method, optimizers, batch, turns=training.turns.parse(rule))
    gradients = {key: p.grad for key, p in method.named_parameters()}
    torch.save(gradients, out / f"gradients-{distributed.ranks()}-{distributed.rank()}.pt")


def a_run(out: Path, fields: dict) -> None:
    """The second rank comes with other weights, and must take those of the first."""
    distributed.join(torch.device("cpu"))
    run = training.train(
        make(seed=distributed.rank()), toy_images(), out / "run", progress=False, **SETTINGS | fields
    )
    torch.save(run.method.state_dict(), out / f"weights-{distributed.rank()}.pt")


def own_noise(out: Path) -> None:
    """The noise that a rank draws, at the start and after a run that was resumed."""
    distributed.join(torch.device("cpu"))
    torch.manual_seed(distributed.own_seed(0))
    torch.save(torch.randn(5), out / f"noise-{distributed.rank()}.pt")


def failing(out: Path, what: str) -> None:
    """Something goes wrong on the first rank only; every rank must stop, and say the same."""
    distributed.join(torch.device("cpu"))
    if what == "disk" and distributed.rank() == 0:

        def full(*_):
            raise OSError(28, "No space left on device")

        trainer.draw_samples = full
    if what == "term" and distributed.rank() == 1:
        original = trainer.play
        trainer.play = lambda *arguments: {
            name: term * float("nan") for name, term in original(*arguments).items()
        }
    if what == "signal" and distributed.rank() == 1:
        calls, original_play = iter(range(100)), trainer.play

        def stop_in_the_third(*arguments):
            if next(calls) == 2:
                signal.raise_signal(signal.SIGINT)
            return original_play(*arguments)

        trainer.play = stop_in_the_third
    said = "nothing"
    try:
        training.train(make(), toy_images(), out / "run", progress=False, steps=STEPS, **SETTINGS)
    except (Exception, training.Interrupted) as error:
        said = f"{type(error).__name__}: {error}"
    (out / f"said-{distributed.rank()}.txt").write_text(said)


# ---- starting them -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def start():
    """start(function, *arguments, ranks=2): runs it on so many ranks, and waits."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gan_course.training", "pytest", "torch.distributed"])

    def run(function, *arguments, ranks: int = 2) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        processes = [
            context.Process(target=a_rank, args=(function, rank, ranks, port, arguments))
            for rank in range(ranks)
        ]
        for process in processes:
            process.start()
        deadline = time.monotonic() + 90
        for process in processes:
            process.join(max(0, deadline - time.monotonic()))
        codes = [process.exitcode for process in processes]
        for process in processes:
            if process.is_alive():
                process.kill()
                process.join()
        assert codes == [0] * ranks

    return run


def load(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def close(a: dict, b: dict, atol: float = 1e-6) -> bool:
    return a.keys() == b.keys() and all(torch.allclose(a[key], b[key], rtol=1e-4, atol=atol) for key in a)


# ---- tests -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["alternating", "simultaneous"])
def test_two_processes_give_the_gradients_of_one(tmp_path, start, rule):
    start(one_step, tmp_path, rule)
    one_step(tmp_path, rule)
    first, second, alone = (load(tmp_path / f"gradients-{name}.pt") for name in ("2-0", "2-1", "1-0"))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert all(gradient.any() for gradient in alone.values())
    assert close(first, alone)


@pytest.mark.parametrize(
    "fields", [{}, {"turns": "alternating:2", "accumulate": 2}, {"turns": "accuracy:0.6"}]
)
def test_two_processes_train_as_one(tmp_path, start, fields):
    start(a_run, tmp_path, {"steps": STEPS} | fields)
    alone = training.train(
        make(), toy_images(), tmp_path / "alone", steps=STEPS, progress=False, **SETTINGS | fields
    )
    weights = [load(tmp_path / f"weights-{rank}.pt") for rank in (0, 1)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    if "accumulate" not in fields:  # parts of slices are other parts, and have other noise
        assert close(weights[0], alone.method.state_dict())
        together = training.open_run(tmp_path / "run").log
        for name in ("step", "discriminator", "generator", "D(x)", "D accuracy"):
            assert together[name] == pytest.approx(alone.log[name], abs=1e-5, nan_ok=True)
    assert not close(weights[0], make().state_dict())  # something was learned


def test_a_resumed_run_of_two_has_the_same_bits(tmp_path, start):
    """With noise that each rank draws for itself, whose random state the checkpoint must hold."""
    out = {name: tmp_path / name for name in ("whole", "parts")}
    for folder in out.values():
        folder.mkdir()
    start(a_dropout_run, out["whole"], STEPS)
    start(a_dropout_run, out["parts"], 3)
    assert len(load(out["parts"] / "run" / "checkpoint.pt")["random"]) == 2
    start(a_dropout_run, out["parts"], STEPS)
    whole, parts = (load(folder / "run" / "checkpoint.pt") for folder in out.values())
    assert all(torch.equal(whole["method"][key], parts["method"][key]) for key in whole["method"])
    assert torch.equal(whole["random"][1]["cpu"], parts["random"][1]["cpu"])
    assert not torch.equal(whole["random"][0]["cpu"], whole["random"][1]["cpu"])

    # one process may go on with the run of two
    shutil.copytree(out["parts"], tmp_path / "one")
    a_dropout_run(tmp_path / "one", STEPS + 1)
    card = json.loads((tmp_path / "one" / "run" / "run.json").read_text())
    assert (card["status"], card["step"]) == ("finished", STEPS + 1)


def a_dropout_run(out: Path, steps: int) -> None:
    torch.manual_seed(0)
    sizes = {"generator_features": 8, "discriminator_features": 4, "noise_size": 6}
    method = GAN(GANConfig(data_shape=(1, 8, 8), **sizes))
    training.train(method, toy_images(), out / "run", progress=False, resume=True, steps=steps, **SETTINGS)


def test_ranks_draw_different_noise(tmp_path, start):
    start(own_noise, tmp_path)
    first, second = (load(tmp_path / f"noise-{rank}.pt") for rank in (0, 1))
    assert not torch.allclose(first, second)
    torch.manual_seed(0)
    assert torch.equal(first, torch.randn(5))  # the first one draws what a single process draws


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("disk", r"OSError: [Errno 28] No space left on device; stopped at step 0, there was no checkpoint"),
        ("term", r"Diverged: discriminator is nan"),
        ("signal", r"Interrupted: stopped at step 3 of 8; everything is saved in"),
    ],
)
def test_what_happens_to_one_stops_all(tmp_path, start, what, said):
    start(failing, tmp_path, what)
    texts = [(tmp_path / f"said-{rank}.txt").read_text() for rank in (0, 1)]
    assert texts[0] == texts[1]
    assert texts[0].startswith(said)
    if what == "signal":
        assert load(tmp_path / "run" / "checkpoint.pt")["step"] == 3


def test_a_batch_that_the_ranks_cannot_share(tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "ranks", lambda: 3)
    message = "a batch of 8 cannot be shared by 3 processes in 1 equal parts each"
    with pytest.raises(ValueError, match=message):
        trainer.check_fit(make(), toy_images(), training.TrainingSettings(batch_size=8))


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="started process 3 on a machine with 2 GPUs; give --nproc-per-node"):
        distributed.join(torch.device("cuda"))


def test_a_single_process_is_a_rank_like_any_other():
    batch = {"image": torch.ones(4)}
    assert (distributed.rank(), distributed.ranks()) == (0, 1)
    assert distributed.own_slice(batch) is batch
    assert distributed.own_seed(5) == 5
    assert distributed.gather("a") == ["a"]
    assert distributed.on_first(max, 3, 4) == 4
    assert distributed.join(torch.device("cpu")) == torch.device("cpu")


def test_torchrun_from_the_command_line(tmp_path):
    sizes = ["--ngf", "2", "--ndf", "2", "--image-size", "16", "--batch-size", "8", "--steps", "4"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command += ["-m", "gan_course.cli", "train", "cgan", "--out", tmp_path / "run", "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [*map(str, command), *sizes],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.count("step 4") == 1  # rank 0 speaks, the others are silent
    run = training.open_run(tmp_path / "run")
    assert run.card["step"] == 4
    assert sorted(path.name for path in run.path.glob("*.pt")) == ["checkpoint.previous.pt", "checkpoint.pt"]
    assert len(load(run.path / "checkpoint.pt")["random"]) == 2
