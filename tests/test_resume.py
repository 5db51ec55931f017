"""A run killed at any moment and resumed ends with the same bits as a run that was never killed.

The runs are processes of their own, forked from a server that has torch imported, and killed with
SIGKILL: at random moments, and at every single operation on a file.
"""

import csv
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from gan_course import methods, training
from gan_course.data import ImageSet
from gan_course.data.image_set import StreamedSet

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")

STEPS = 90
TIMING = ("images_per_second", "seconds")
OPTIONS = {
    "float32": {"precision": "float32", "flip": True},
    "bfloat16": {"precision": "bfloat16", "channels_last": True, "ema": 0.9},
}


# ---- the run, in a process of its own ----------------------------------------------------------------


def toy_images(count: int = 100) -> ImageSet:
    pixels = torch.randint(
        0, 256, (count, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return ImageSet("toy", {"image": pixels, "label": torch.arange(count) % 4}, class_names=tuple("abcd"))


def train_cgan(out: Path, options: dict) -> None:
    """90 steps, log lines and checkpoints out of step with each other and with the epochs of 6 steps."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    method = methods.build("cgan", image_size=16, num_classes=4, ngf=4, ndf=4)
    how_often = {"log_every": 3, "save_every": 4, "sample_every": 10, "preview_count": 4}
    settings = training.TrainingSettings(steps=STEPS, batch_size=16, device="cpu", **how_often, **options)
    training.train(method, toy_images(), out, settings, resume=True, progress=False)


def train_gan(out: Path, kill_at: int | None = None) -> None:
    """Two steps with dropout. The process is killed before operation `kill_at` on a file of the run."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    operations = 0

    def count(event: str, arguments: tuple) -> None:
        nonlocal operations
        on_files = event in ("open", "os.rename", "os.remove", "os.mkdir")
        if on_files and str(arguments[0]).startswith(str(out)):
            operations += 1
            if operations == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if kill_at is not None:
        sys.addaudithook(count)
    sizes = {"generator_features": 8, "discriminator_features": 4, "noise_size": 4}
    method = methods.build("gan", data_shape=(1, 16, 16), **sizes)
    often = {"log_every": 1, "save_every": 1, "sample_every": 1, "preview_count": 1}
    settings = training.TrainingSettings(steps=2, batch_size=16, device="cpu", ema=0.5, **often)
    training.train(method, toy_images(), out, settings, resume=True, progress=False)


def read_one(index: int) -> dict[str, torch.Tensor]:
    images = toy_images()
    return {name: tensor[index] for name, tensor in images.tensors.items()}


def train_streamed(out: Path, steps: int) -> None:
    """Images read from disk by a worker process."""
    multiprocessing.set_start_method("fork", force=True)  # a server of its own would import torch again
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = StreamedSet("toy", 100, 16, 1, "digest", read_one, class_names=tuple("abcd"), workers=1)
    method = methods.build("cgan", image_size=16, num_classes=4, ngf=4, ndf=4)
    often = {"log_every": 1, "sample_every": 1, "preview_count": 1}
    settings = training.TrainingSettings(steps=steps, batch_size=16, device="cpu", **often)
    training.train(method, images, out, settings, resume=True, progress=False)


@pytest.fixture(scope="module")
def start():
    """start(function, *arguments) -> a running process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gan_course.training", "pytest"])
    started = []

    def begin(function, *arguments):
        process = context.Process(target=function, args=arguments)
        process.start()
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.is_alive():
            process.kill()
        process.join()


@pytest.fixture
def one_thread():
    """As many as the other processes take: sums of floats depend on it."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def finish(process) -> None:
    process.join(timeout=120)
    assert process.exitcode == 0


# ---- what is compared --------------------------------------------------------------------------------


def flat(value, name: str = "") -> dict:
    """Nested dicts and lists as one dict from paths to leaves."""
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in flat(inner, f"{name}/{key}").items()}
    if isinstance(value, list | tuple):
        return {k: v for i, inner in enumerate(value) for k, v in flat(inner, f"{name}/{i}").items()}
    return {name: value}


def log_without_timing(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k not in TIMING} for row in csv.DictReader(file)]


def assert_same_run(out: Path, reference: Path) -> None:
    states = [flat(torch.load(folder / "checkpoint.pt", weights_only=True)) for folder in (out, reference)]
    assert states[0].keys() == states[1].keys()
    for name, expected in states[1].items():
        if name == "/seconds":
            continue
        if isinstance(expected, torch.Tensor):
            got = states[0][name]
            assert (got.dtype, got.shape) == (expected.dtype, expected.shape), name
            assert got.numpy().tobytes() == expected.numpy().tobytes(), name
        else:
            assert states[0][name] == expected, name
    assert log_without_timing(out) == log_without_timing(reference)
    pictures = [sorted((folder / "samples").iterdir()) for folder in (out, reference)]
    assert [p.name for p in pictures[0]] == [p.name for p in pictures[1]]
    for a, b in zip(*pictures, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name
    name = "generator.safetensors"
    assert (out / name).read_bytes() == (reference / name).read_bytes()
    cards = [training.run.read_card(folder) for folder in (out, reference)]
    for key in ("status", "step", "config", "settings", "data"):
        assert cards[0][key] == cards[1][key]


def steps_logged(out: Path) -> int:
    """The last step in the log, as far as a look from outside can tell."""
    try:
        lines = (out / "log.csv").read_text().splitlines()
        return int(lines[-1].split(",")[0])
    except (OSError, IndexError, ValueError):
        return 0


def wait_for(out: Path, step: int, alive) -> bool:
    """Until the run has logged the step; False if it ended before."""
    deadline = time.monotonic() + 120
    while steps_logged(out) < step:
        if not alive():
            return False
        assert time.monotonic() < deadline, f"{out} never came to step {step}"
        time.sleep(0.001)
    return True


# ---- tests -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(OPTIONS))
def test_killed_at_random_moments(tmp_path, start, name):
    out, reference = tmp_path / "killed", tmp_path / "whole"
    uninterrupted = start(train_cgan, reference, OPTIONS[name])

    rng = random.Random(name)
    moments = sorted(rng.sample(range(3, STEPS * 3 // 4), 6))
    kills = 0
    for moment in moments:
        process = start(train_cgan, out, OPTIONS[name])
        if wait_for(out, moment, process.is_alive):
            time.sleep(rng.uniform(0, 0.02))  # anywhere in a step, in a log line, in a checkpoint
            process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills >= 3
    finish(start(train_cgan, out, OPTIONS[name]))
    finish(uninterrupted)
    assert_same_run(out, reference)


def test_killed_at_every_operation_on_a_file(tmp_path, start, one_thread):
    reference = tmp_path / "whole"
    finish(start(train_gan, reference))
    for kill_at in range(1, 1000):
        out = tmp_path / f"killed-{kill_at}"
        process = start(train_gan, out, kill_at)
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        train_gan(out)
        assert_same_run(out, reference)
        leftover = [path.name for path in out.rglob("*") if path.name.endswith(".tmp")]
        assert not leftover, f"killed at operation {kill_at}"
    assert kill_at > 30


def test_images_read_from_disk(tmp_path, start):
    """The workers that read must not draw from the random numbers of the training."""
    out, reference = tmp_path / "in two sessions", tmp_path / "whole"
    finish(start(train_streamed, out, 4))
    finish(start(train_streamed, out, 9))
    finish(start(train_streamed, reference, 9))
    assert_same_run(out, reference)


def test_ctrl_c_in_a_process_of_its_own(tmp_path, start):
    out, reference = tmp_path / "stopped", tmp_path / "whole"
    uninterrupted = start(train_cgan, reference, OPTIONS["float32"])
    process = subprocess.Popen([sys.executable, __file__, out], stderr=subprocess.PIPE, text=True)
    assert wait_for(out, 10, lambda: process.poll() is None)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode not in (0, -signal.SIGKILL)
    step = training.run.read_card(out)["step"]
    assert 10 <= step < STEPS
    last = said.strip().splitlines()[-1]
    assert last.endswith(
        f"Interrupted: stopped at step {step} of {STEPS}; everything is saved in {out}. "
        "To go on, run the same again with resume=True (on the command line: --resume)."
    )
    finish(start(train_cgan, out, OPTIONS["float32"]))
    finish(uninterrupted)
    assert_same_run(out, reference)


if __name__ == "__main__":
    train_cgan(Path(sys.argv[1]), OPTIONS["float32"])
