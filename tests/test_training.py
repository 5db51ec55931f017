"""The trainer: what a run leaves behind, what it refuses, and how it stops."""

import dataclasses
import functools
import itertools
import json
import math
import os
import random
import signal
import sys
import threading
import time
import types
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from small_methods import small

from gan_course import cli, methods, progress, training
from gan_course.data import ImageSet
from gan_course.training import bench, board, checkpoints, log, trainer, views
from gan_course.training.ema import WeightAverage
from gan_course.training.files import replacing
from gan_course.training.interrupts import StopRequest
from gan_course.training.run import load_weights, read_card, save_weights
from gan_course.training.settings import learning_rate_factor
from gan_course.training.views import split_over_gpus

TERMS = ["discriminator", "D(x)", "D(G(z))", "D accuracy", "generator"]


def toy_images(count: int = 40, size: int = 16, channels: int = 1, labelled: bool = True) -> ImageSet:
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=rng)
    tensors = {"image": pixels} | ({"label": torch.arange(count) % 4} if labelled else {})
    return ImageSet(name="toy", tensors=tensors, class_names=("a", "b", "c", "d") if labelled else ())


def tiny(name: str = "cgan", **fields) -> methods.Method:
    torch.manual_seed(0)
    sizes = {
        "gan": {"data_shape": (1, 16, 16), "generator_features": 8, "discriminator_features": 4},
        "dcgan": {"image_size": 16, "channels": 1, "ngf": 2, "ndf": 2},
        "cgan": {"image_size": 16, "num_classes": 4, "ngf": 2, "ndf": 2},
    }
    return methods.build(name, **sizes[name] | fields)


def train(out, steps: int = 6, method=None, images=None, **settings) -> training.Run:
    fields = {"steps": steps, "batch_size": 8, "device": "cpu", "preview_count": 4, "progress": False}
    return training.train(
        method or tiny(), toy_images() if images is None else images, out, **fields | settings
    )


def final(out) -> dict:
    return torch.load(out / "checkpoint.pt", weights_only=True)


# ---- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; it must be 1 or more"),
        ({"save_every": -5}, "save_every is -5; it must be 1 or more"),
        ({"log_every": 0}, "log_every is 0; it must be 1 or more"),
        ({"sample_every": 0}, "sample_every is 0; it must be 1 or more"),
        ({"preview_count": 0}, "preview_count is 0; it must be 1 or more"),
        ({"gpus": 0}, "gpus is 0; it must be 1 or more"),
        ({"steps": -1}, "steps is -1; it must be 0 or more"),
        ({"epochs": -0.5}, "epochs is -0.5; it must be 0 or more"),
        ({"seed": -1}, "seed is -1; it must be 0 or more"),
        ({"steps": 5, "epochs": 2.0}, "steps 5 and epochs 2.0 are both given; give one"),
        ({"ema": 1.0}, "ema is 1.0; it must be at least 0 and below 1"),
        ({"ema": -0.1}, "ema is -0.1; it must be at least 0 and below 1"),
        ({"precision": "half"}, "precision is 'half'; it must be float32 or bfloat16"),
    ],
)
def test_settings_that_are_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        training.TrainingSettings(**fields)


def test_total_steps():
    total = lambda count, **fields: training.TrainingSettings(**fields).total_steps(count)  # noqa: E731
    assert total(1000, steps=7) == 7
    assert total(1000, epochs=3.0, batch_size=64) == 3 * 15  # the incomplete batch is left out
    assert total(1000, epochs=0.5, batch_size=100) == 5
    assert total(100, batch_size=10) == 25 * 10  # neither given
    assert total(64, epochs=0.001) == 1


def test_choose_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert training.choose_device("auto") == torch.device("cpu")
    assert training.choose_device("cpu") == torch.device("cpu")
    for missing in ("cuda", "cuda:1", "mps", "cpu:1"):
        with pytest.raises(
            ValueError, match=rf"^device '{missing}' is not on this machine; take cpu or auto$"
        ):
            training.choose_device(missing)
    with pytest.raises(ValueError, match=r"^device is 'gpu'; it must be auto, cpu, cuda, cuda:N or mps$"):
        training.choose_device("gpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert training.choose_device("auto") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert training.choose_device("auto") == torch.device("cuda")
    assert training.choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match="cuda:2"):
        training.choose_device("cuda:2")


def test_settings_and_fields_are_put_together(tmp_path):
    settings = training.TrainingSettings(steps=4, batch_size=8, preview_count=4, device="cpu")
    run = training.train(tiny(), toy_images(), tmp_path, settings, ema=0.5, device=torch.device("cpu"))
    assert run.card["settings"]["steps"] == 4
    assert run.card["settings"]["ema"] == 0.5
    assert run.card["settings"]["device"] == "cpu"  # a torch.device is welcome, and the card is still JSON
    with pytest.raises(TypeError, match="stepz"):
        training.train(tiny(), toy_images(), tmp_path / "b", settings, stepz=3)


# ---- what a run leaves behind ------------------------------------------------------------------------


def test_layout_of_a_run(tmp_path):
    run = train(tmp_path / "runs" / "a", steps=7, save_every=3, sample_every=2, log_every=2)
    assert run.path == tmp_path / "runs" / "a"
    assert sorted(p.name for p in run.path.iterdir()) == [
        "checkpoint.previous.pt",
        "checkpoint.pt",
        "generator.safetensors",
        "log.csv",
        "run.json",
        "samples",
    ]
    assert [step for step, _ in run.samples] == [0, 2, 4, 6, 7]
    for _, path in run.samples:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert picture.size == (2 * 16 + 6, 2 * 16 + 6)
    assert final(run.path)["step"] == 7
    assert torch.load(run.path / "checkpoint.previous.pt", weights_only=True)["step"] == 6


def test_the_run_card(tmp_path):
    images = toy_images()
    run = train(tmp_path / "a", steps=3, images=images)
    card = json.loads((tmp_path / "a" / "run.json").read_text())
    assert card == run.card
    assert card["method"] == "cgan"
    assert "Mirza" in card["paper"]
    assert methods.build(card["method"], **card["config"]).config == tiny().config
    assert card["data"] == {
        "name": "toy",
        "count": 40,
        "image_size": 16,
        "channels": 1,
        "class_names": ["a", "b", "c", "d"],
        "sha256": images.digest,
    }
    assert training.TrainingSettings(**card["settings"]).steps == 3
    assert card["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert {"gan_course", "python", "numpy", "torchvision"} <= card["versions"].keys()
    assert card["machine"]["device"] == "cpu"
    assert card["machine"]["threads"] == torch.get_num_threads()
    assert (card["status"], card["step"]) == ("finished", 3)
    assert card["seconds"] >= 0
    assert card["images_per_second"] > 0
    assert card["metrics"] == {}


def test_the_log_holds_means_of_every_term(tmp_path, monkeypatch):
    steps = []
    play = trainer.play

    def remember(*arguments):
        steps.append(play(*arguments))
        return steps[-1]

    monkeypatch.setattr(trainer, "play", remember)
    run = train(tmp_path / "a", steps=7, log_every=3)
    assert list(run.log) == ["step", *TERMS, "images_per_second", "seconds"]
    assert run.log["step"].tolist() == [3, 6, 7]
    for name in TERMS:
        played = [terms[name].item() for terms in steps]
        expected = [np.mean(played[0:3]), np.mean(played[3:6]), played[6]]
        assert run.log[name] == pytest.approx(expected, rel=1e-6)
    assert all(run.log["images_per_second"] > 0)
    assert (np.diff(run.log["seconds"]) >= 0).all()


def test_log_lines_do_not_change_training(tmp_path):
    for name, every in (("a", 1), ("b", 100)):
        train(tmp_path / name, log_every=every, sample_every=every, save_every=every)
    a, b = (load_file(tmp_path / name / "generator.safetensors") for name in "ab")
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_samples_come_from_fixed_noise(tmp_path):
    """With a learning rate of 0 nothing changes, so the grids of all steps are one."""
    run = train(tmp_path / "a", steps=4, sample_every=1, method=tiny("gan", learning_rate=0.0))
    grids = [np.asarray(Image.open(path)) for _, path in run.samples]
    assert len(grids) == 5
    assert all((grid == grids[0]).all() for grid in grids)
    moved = train(tmp_path / "b", steps=4, sample_every=4, method=tiny(learning_rate=0.05))
    first, last = (np.asarray(Image.open(path)) for _, path in moved.samples)
    assert (last != first).any()


def test_a_run_can_be_opened_and_sampled(tmp_path):
    run = train(tmp_path / "a", ema=0.5)
    opened = training.open_run(tmp_path / "a")
    assert opened.card == run.card
    assert not opened.method.training
    noise = run.method.draw_noise(4, torch.Generator().manual_seed(1))
    assert torch.equal(opened.method.sample(4, noise=noise), run.method.sample(4, noise=noise))
    assert opened.log["step"].tolist() == run.log["step"].tolist()
    assert opened.samples == run.samples


def test_the_seed_decides_everything(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(tmp_path / name, method=tiny("gan"), seed=seed)
    a, b, c = (load_file(tmp_path / name / "generator.safetensors") for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a[key], c[key]) for key in a)


def test_channels_last_and_bfloat16_train(tmp_path):
    run = train(
        tmp_path / "a", method=tiny("dcgan"), channels_last=True, precision="bfloat16", ema=0.5, steps=3
    )
    assert run.method.discriminator[2].weight.is_contiguous(memory_format=torch.channels_last)
    assert all(p.dtype == torch.float32 for p in run.method.parameters())
    assert np.isfinite(run.log["generator"]).all()


def test_a_trained_method_can_be_trained_further(tmp_path):
    run = train(tmp_path / "a", ema=0.5)
    before = {name: p.clone() for name, p in run.method.generator.named_parameters()}
    again = train(tmp_path / "b", method=run.method, ema=0.5)
    assert any(not torch.equal(before[name], p) for name, p in again.method.generator.named_parameters())


# ---- the average of the weights ----------------------------------------------------------------------


def test_the_average_is_that_of_the_formula(tmp_path, monkeypatch):
    """w_average <- d * w_average + (1 - d) * w, d = min(decay, (1 + step) / (10 + step)), statistics too."""
    seen, update = [], WeightAverage.update

    def remember(self, step):
        if not seen:
            seen.append({key: value.clone() for key, value in self.averaged.state_dict().items()})
        seen.append({key: value.clone() for key, value in self.networks.state_dict().items()})
        update(self, step)

    monkeypatch.setattr(WeightAverage, "update", remember)
    run = train(tmp_path / "a", steps=5, ema=0.2)
    expected = {key: value.double() for key, value in seen[0].items()}
    for weights, d in zip(seen[1:], (1 / 10, 2 / 11, 0.2, 0.2, 0.2), strict=True):
        expected = {key: d * expected[key] + (1 - d) * value.double() for key, value in weights.items()}
    saved = load_file(run.path / "generator.safetensors")
    for key, value in expected.items():
        if not key.endswith("num_batches_tracked"):
            assert torch.allclose(saved[key].double(), value, atol=1e-6), key
    last = seen[-1]
    assert any(not torch.allclose(saved[key], last[key]) for key in last)
    returned = run.method.generator.state_dict()
    assert all(torch.equal(returned[key], saved[f"generator.{key}"]) for key in returned)
    trained = final(run.path)["method"]
    assert all(torch.equal(trained[key], last[key]) for key in last)


def test_no_average_keeps_the_latest_weights(tmp_path):
    run = train(tmp_path / "a", ema=0.0)
    saved = load_file(run.path / "generator.safetensors")
    trained = final(run.path)
    assert trained["average"] is None
    assert all(torch.equal(saved[key], trained["method"][key]) for key in saved)


def test_the_average_is_applied_and_put_back():
    method = tiny()
    latest = method.generator
    average = WeightAverage(method, 0.5)
    average.update(0)
    with pytest.raises(KeyError), average.applied(method):
        assert method.generator is average.averaged["generator"]
        assert method.generator is not latest
        assert list(method.networks) == ["generator", "discriminator"]
        raise KeyError
    assert method.generator is latest
    assert list(method.networks) == ["generator", "discriminator"]


def test_samples_are_drawn_from_the_average(tmp_path, monkeypatch):
    """With an average that never takes anything in, the grid never changes."""
    monkeypatch.setattr(WeightAverage, "update", lambda self, step: None)
    for name, decay, still in (("a", 0.9, True), ("b", 0.0, False)):
        method = tiny(learning_rate=0.05)
        run = train(tmp_path / name, steps=6, sample_every=1, ema=decay, method=method)
        grids = [np.asarray(Image.open(path)) for _, path in run.samples]
        assert all((grid == grids[1]).all() for grid in grids[1:]) == still


# ---- checkpoints -------------------------------------------------------------------------------------


def test_a_checkpoint_holds_plain_values_only(tmp_path):
    train(tmp_path / "a", ema=0.5)
    state = final(tmp_path / "a")
    parts = {"step", "seconds", "method", "optimizers", "average", "interval", "seen", "random"}
    assert set(state) == parts
    assert len(state["random"]) == 1  # one entry a process


def test_the_checkpoint_before_is_kept(tmp_path):
    for step in (1, 2, 3):
        assert checkpoints.save(tmp_path, {"step": step}) == tmp_path / "checkpoint.pt"
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True) == {"step": 3}
    assert torch.load(tmp_path / "checkpoint.previous.pt", weights_only=True) == {"step": 2}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.previous.pt", "checkpoint.pt"]


@pytest.mark.parametrize("left", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_gives_way_to_the_one_before(tmp_path, left):
    out = tmp_path / "a"
    finished = train(out, steps=6, save_every=2, ema=0.5)
    expected = load_file(out / "generator.safetensors")
    newest = out / "checkpoint.pt"
    newest.write_bytes(newest.read_bytes()[: int(left * newest.stat().st_size)])
    with pytest.warns(UserWarning, match=r"checkpoint\.pt cannot be read"):
        again = train(out, steps=6, save_every=2, ema=0.5, resume=True)
    assert again.card["step"] == 6
    got = load_file(out / "generator.safetensors")
    assert all(torch.equal(got[key], expected[key]) for key in expected)
    assert again.log["generator"].tolist() == finished.log["generator"].tolist()


def test_both_checkpoints_damaged(tmp_path):
    out = tmp_path / "a"
    train(out, save_every=2)
    for name in ("checkpoint.pt", "checkpoint.previous.pt"):
        (out / name).write_bytes(b"not a checkpoint")
    message = r"^no readable checkpoint: .*checkpoint\.pt and .*checkpoint\.previous\.pt are damaged"
    with warnings.catch_warnings(), pytest.raises(ValueError, match=message):
        warnings.simplefilter("ignore")
        train(out, save_every=2, resume=True)


def test_no_checkpoint(tmp_path):
    assert not checkpoints.exists(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"^no checkpoint in .*: expected checkpoint\.pt or"):
        checkpoints.load(tmp_path)


def test_a_checkpoint_executes_nothing(tmp_path):
    class Danger:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"step": Danger()}, tmp_path / "checkpoint.pt")
    with pytest.warns(UserWarning, match="cannot be read"), pytest.raises(ValueError, match="no readable"):
        checkpoints.load(tmp_path)
    assert not (tmp_path / "executed").exists()


def test_damage_anywhere_never_ends_in_a_riddle(tmp_path):
    """Bytes changed at random places: the checkpoint is read, or the one before with a warning."""
    torch.save({"step": 2, "weight": torch.ones(50)}, tmp_path / "checkpoint.previous.pt")
    torch.save({"step": 3, "weight": torch.ones(50)}, tmp_path / "checkpoint.pt")
    good = (tmp_path / "checkpoint.pt").read_bytes()
    rng = random.Random(0)
    fallen_back = 0
    for _ in range(150):
        damaged = bytearray(good)
        for _ in range(rng.choice([1, 20])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        (tmp_path / "checkpoint.pt").write_bytes(damaged)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            state = checkpoints.load(tmp_path)
        if any("cannot be read" in str(w.message) for w in caught):
            assert state["step"] == 2
            fallen_back += 1
    assert fallen_back > 20


# ---- starting, refusing, resuming --------------------------------------------------------------------


def test_a_run_is_not_overwritten(tmp_path):
    train(tmp_path / "a", steps=3)
    before = {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir() if p.is_file()}
    message = r"holds a run already \(cgan, step 3\); resume it \(resume=True, --resume\) or choose another"
    with pytest.raises(FileExistsError, match=message):
        train(tmp_path / "a", steps=5)
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir() if p.is_file()}


@pytest.mark.parametrize("resume", [True, False])
def test_other_peoples_folders_and_files_are_left_alone(tmp_path, resume):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("thesis", "file"):
        with pytest.raises(FileExistsError, match=f"{name} is not a run and not an empty folder"):
            train(tmp_path / name, resume=resume)
    assert (tmp_path / "file").read_text() == "x"
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


def test_an_empty_folder_will_do(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".keep").write_text("")
    assert train(tmp_path / "a", steps=1).card["step"] == 1


def test_resuming_with_nothing_there_starts(tmp_path):
    assert train(tmp_path / "a", resume=True).card["step"] == 6
    train(tmp_path / "b")
    a, b = (load_file(tmp_path / name / "generator.safetensors") for name in "ab")
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_finished_run_is_returned_at_once(tmp_path, monkeypatch):
    first = train(tmp_path / "a", ema=0.5)
    files = {p: p.read_bytes() for p in (tmp_path / "a").rglob("*") if p.is_file()}
    monkeypatch.setattr(trainer, "play", None)
    again = train(tmp_path / "a", ema=0.5, resume=True)
    assert files == {p: p.read_bytes() for p in (tmp_path / "a").rglob("*") if p.is_file()}
    assert again.card == first.card
    noise = first.method.draw_noise(3)
    assert torch.equal(again.method.sample(3, noise=noise), first.method.sample(3, noise=noise))


def test_more_steps_go_on_as_if_they_had_been_asked_for_at_once(tmp_path):
    train(tmp_path / "a", steps=4, log_every=2)
    train(tmp_path / "a", steps=9, log_every=2, resume=True)
    whole = train(tmp_path / "b", steps=9, log_every=2)
    a, b = final(tmp_path / "a"), final(tmp_path / "b")
    assert all(torch.equal(a["method"][key], b["method"][key]) for key in a["method"])
    assert training.open_run(tmp_path / "a").log["generator"].tolist() == whole.log["generator"].tolist()


def test_a_resumed_run_with_other_settings_lists_each_change(tmp_path):
    train(tmp_path / "a", ema=0.5)
    with pytest.raises(ValueError, match="cannot be resumed with other settings") as raised:
        train(
            tmp_path / "a",
            resume=True,
            method=tiny(noise_size=7, game="hinge"),
            images=toy_images(count=50),
            ema=0.9,
            seed=3,
            flip=True,
            batch_size=4,
            precision="bfloat16",
            channels_last=True,
            preview_count=9,
        )
    said = str(raised.value)
    for change in (
        "noise_size was 100 and is now 7",
        "game was non_saturating and is now hinge",
        "data sha256 was ",
        "ema was 0.5 and is now 0.9",
        "seed was 0 and is now 3",
        "flip was False and is now True",
        "batch_size was 8 and is now 4",
        "precision was float32 and is now bfloat16",
        "channels_last was False and is now True",
        "preview_count was 4 and is now 9",
    ):
        assert change in said
    assert said.count(" and is now ") == 10
    with pytest.raises(ValueError, match="method was cgan and is now dcgan"):
        train(tmp_path / "a", resume=True, method=tiny("dcgan"), ema=0.5)


def test_a_tuple_in_the_configuration_is_no_change(tmp_path):
    train(tmp_path / "a", method=tiny("gan"), steps=2)
    assert train(tmp_path / "a", method=tiny("gan"), steps=3, resume=True).card["step"] == 3


def test_how_often_may_change_between_sessions(tmp_path):
    train(tmp_path / "a", steps=2)
    run = train(tmp_path / "a", steps=4, log_every=1, save_every=1, sample_every=1, resume=True)
    assert run.card["settings"]["log_every"] == 1


@pytest.mark.parametrize(
    ("method", "images", "message"),
    [
        (lambda: tiny("dcgan"), lambda: toy_images(channels=3), "dcgan is built for channels 1; toy has 3"),
        (lambda: tiny("dcgan"), lambda: toy_images(size=32), "dcgan is built for image_size 16; toy has 32"),
        (lambda: tiny("cgan", num_classes=9), toy_images, "cgan is built for num_classes 9; toy has 4"),
        (
            lambda: tiny("gan"),
            lambda: toy_images(size=32),
            r"gan is built for data_shape \(1, 16, 16\); toy has \(1, 32, 32\)",
        ),
        (tiny, lambda: toy_images(labelled=False), "cgan needs label; the data set toy has none"),
        (tiny, lambda: toy_images(count=7), "batch_size is 8; the data set toy has 7 images"),
        (tiny, lambda: toy_images(count=0), "batch_size is 8; the data set toy has 0 images"),
    ],
)
def test_data_that_do_not_fit(tmp_path, method, images, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        train(tmp_path / "a", method=method(), images=images())
    assert not (tmp_path / "a").exists()


def test_a_bad_device_leaves_no_folder_behind(tmp_path):
    with pytest.raises(ValueError, match="device is 'tpu9'"):
        train(tmp_path / "a", device="tpu9")
    assert not (tmp_path / "a").exists()


# ---- reading a run -----------------------------------------------------------------------------------


def test_opening_what_is_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a run: it has no run\.json"):
        training.open_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json is not a run card: "):
        training.open_run(tmp_path)
    (tmp_path / "run.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"run\.json is not a run card: "):
        read_card(tmp_path)
    for text in ("[]", '{"step": 1, "method": "gan"}'):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(ValueError, match=r"run\.json is not a run card: it has no entry .*config"):
            training.open_run(tmp_path)


def test_opening_a_run_of_an_unknown_method(tmp_path):
    train(tmp_path / "a", steps=1)
    card = read_card(tmp_path / "a")
    (tmp_path / "a" / "run.json").write_text(json.dumps(card | {"method": "stylegan9"}))
    with pytest.raises(ValueError, match="unknown method 'stylegan9'"):
        training.open_run(tmp_path / "a")


def test_weights_that_are_missing_or_do_not_fit(tmp_path):
    train(tmp_path / "a", steps=1)
    path = tmp_path / "a" / "generator.safetensors"
    with pytest.raises(
        ValueError, match=r"generator\.safetensors does not fit cgan: .*size mismatch for generator"
    ):
        load_weights(path, tiny(ngf=4))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"generator\.safetensors does not fit cgan"):
        training.open_run(tmp_path / "a")
    path.unlink()
    with pytest.raises(FileNotFoundError, match="the run has not saved a generator yet"):
        training.open_run(tmp_path / "a")


def test_a_log_cut_in_half(tmp_path):
    path = tmp_path / "log.csv"
    assert log.read(path) == {}
    log.cut(path, 5)
    for step in (10, 20, 30):
        log.append(path, {"step": step, "generator": step / 7})
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        log.cut(path, 20)
        read = log.read(path)
        complete = [10, 20][: max(0, whole[:length].count(b"\n") - 1)]
        assert read.get("step", np.array([])).tolist() == complete
        log.append(path, {"step": 21, "generator": 0.5})
        assert log.read(path)["step"].tolist() == [*complete, 21]


def test_writing_a_file_as_a_whole(tmp_path):
    path, previous = tmp_path / "a.txt", tmp_path / "b.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    with replacing(path, previous=previous) as temporary:
        temporary.write_text("newer")
    assert (path.read_text(), previous.read_text()) == ("newer", "new")
    message = r"^could not write .*a\.txt: no room; what was there before is untouched$"
    with pytest.raises(OSError, match=message), replacing(path, previous=previous) as temporary:
        temporary.write_text("half")
        raise RuntimeError("no room")
    assert (path.read_text(), previous.read_text()) == ("newer", "new")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        raise KeyboardInterrupt
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "b.txt"]


# ---- when things go wrong ----------------------------------------------------------------------------


def poisoned(monkeypatch, at_step: int, term: str = "generator") -> None:
    """From step `at_step` on, a term of the loss is not a number."""
    steps, play = itertools.count(1), trainer.play

    def play_badly(*arguments):
        terms = play(*arguments)
        return terms | {term: terms[term] * math.nan} if next(steps) >= at_step else terms

    monkeypatch.setattr(trainer, "play", play_badly)


@pytest.mark.parametrize("log_every", [1, 100])
def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path, monkeypatch, log_every):
    out = tmp_path / "a"
    poisoned(monkeypatch, at_step=6)
    with pytest.raises(training.Diverged) as raised:
        train(out, steps=20, save_every=4, log_every=log_every)
    noticed = 6 if log_every == 1 else 8
    assert str(raised.value) == (
        f"generator is nan by step {noticed}: the last good checkpoint is {out / 'checkpoint.pt'}, step 4. "
        "Try a lower learning rate or another seed."
    )
    assert final(out)["step"] == 4
    assert all(value.isfinite().all() for value in final(out)["method"].values())
    assert all(value.isfinite().all() for value in load_file(out / "generator.safetensors").values())
    assert (read_card(out)["step"], read_card(out)["status"]) == (4, "training")
    logged = training.open_run(out).log.get("step", np.array([]))
    assert logged.tolist() == ([1, 2, 3, 4, 5] if log_every == 1 else [])


def test_a_diverged_run_can_be_resumed_from_the_good_checkpoint(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        poisoned(patched, at_step=6)
        with pytest.raises(training.Diverged):
            train(tmp_path / "a", steps=8, save_every=4)
    train(tmp_path / "a", steps=8, save_every=4, resume=True)
    train(tmp_path / "b", steps=8, save_every=4)
    a, b = (load_file(tmp_path / name / "generator.safetensors") for name in "ab")
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_learning_rate_far_too_large(tmp_path):
    with pytest.raises(training.Diverged, match=r"step 0\. Try a lower learning rate"):
        train(tmp_path / "a", steps=20, save_every=5, method=tiny("gan", learning_rate=1e30))
    assert final(tmp_path / "a")["step"] == 0
    assert all(value.isfinite().all() for value in final(tmp_path / "a")["method"].values())


def test_weights_that_are_not_numbers_are_not_saved(tmp_path, monkeypatch):
    """The step before a save may break a weight that no loss has shown yet."""
    method, play, steps = tiny(), trainer.play, itertools.count(1)

    def break_a_weight(*arguments):
        terms = play(*arguments)
        if next(steps) == 4:
            method.generator.dcgan[1].weight.data[0] = math.inf
        return terms

    monkeypatch.setattr(trainer, "play", break_a_weight)
    message = (
        r"^weight generator\.dcgan\.1\.weight is nan by step 4: the last good checkpoint is .*, step 2\."
    )
    with pytest.raises(training.Diverged, match=message):
        train(tmp_path / "a", method=method, save_every=2)
    assert final(tmp_path / "a")["step"] == 2


def full_disk(*_, **__):
    raise OSError(28, "No space left on device")


def full_disk_of_torch(*_, **__):
    raise RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed")


@pytest.mark.parametrize("error", [full_disk, full_disk_of_torch])
def test_a_full_disk_gives_one_clear_error(tmp_path, monkeypatch, error):
    out, saves, save = tmp_path / "a", itertools.count(), torch.save

    def save_until_full(state, path):
        if next(saves) >= 2:
            path.write_bytes(b"half a checkpoint")
            error()
        save(state, path)

    monkeypatch.setattr(torch, "save", save_until_full)
    with pytest.raises(OSError, match=r"No space left|file write failed") as raised:
        train(out, steps=8, save_every=2)
    said = str(raised.value)
    assert said.startswith(f"could not write {out / 'checkpoint.pt'}: ")
    assert said.endswith(
        f"what was there before is untouched; stopped at step 4, the last good checkpoint is "
        f"{out / 'checkpoint.pt'}, step 2. To go on, mend the cause and run the same again with "
        "resume=True (on the command line: --resume)."
    )
    assert final(out)["step"] == 2
    assert not [p.name for p in out.iterdir() if p.name.endswith(".tmp")]
    monkeypatch.undo()
    train(out, steps=8, save_every=2, resume=True)
    train(tmp_path / "b", steps=8, save_every=2)
    a, b = (final(tmp_path / name)["method"] for name in "ab")
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_disk_that_fills_while_flushing(tmp_path, monkeypatch):
    """What the disk promised and could not keep must not have replaced the old checkpoint."""
    checkpoints.save(tmp_path, {"step": 1})
    checkpoints.save(tmp_path, {"step": 2})
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="could not write"):
        checkpoints.save(tmp_path, {"step": 3})
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True) == {"step": 2}
    assert torch.load(tmp_path / "checkpoint.previous.pt", weights_only=True) == {"step": 1}


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        train(tmp_path / "file" / "run")
    networks = torch.nn.ModuleDict({"generator": tiny().generator})
    with pytest.raises(OSError, match=r"could not write .*missing/g\.safetensors"):
        save_weights(tmp_path / "missing" / "g.safetensors", networks)


# ---- Ctrl-C ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_the_step_and_saves(tmp_path, monkeypatch, number):
    out, play, steps = tmp_path / "a", trainer.play, itertools.count(1)

    def interrupt(*arguments):
        if next(steps) == 5:
            signal.raise_signal(number)
        return play(*arguments)

    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patched:
        patched.setattr(trainer, "play", interrupt)
        with pytest.raises(KeyboardInterrupt) as raised:
            train(out, steps=9, save_every=4)
    assert isinstance(raised.value, training.Interrupted)
    assert str(raised.value) == (
        f"stopped at step 5 of 9; everything is saved in {out}. "
        "To go on, run the same again with resume=True (on the command line: --resume)."
    )
    assert final(out)["step"] == 5
    assert read_card(out)["status"] == "training"
    assert handlers == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    run = train(out, steps=9, save_every=4, resume=True)
    whole = train(tmp_path / "b", steps=9, save_every=4)
    a, b = final(out)["method"], final(tmp_path / "b")["method"]
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert run.log["generator"].tolist() == whole.log["generator"].tolist()


@pytest.mark.parametrize("moment", ["draw_samples", "save"])
def test_ctrl_c_at_a_bad_moment_loses_no_step(tmp_path, monkeypatch, moment):
    """Between two steps, after the loop has looked whether a save is due."""
    out, calls, function = tmp_path / "a", itertools.count(), getattr(trainer, moment)

    def interrupt(*arguments, **named):
        function(*arguments, **named)
        if next(calls) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(trainer, moment, interrupt)
    with pytest.raises(training.Interrupted, match=r"stopped at step (\d+) of 9") as raised:
        train(out, steps=9, save_every=2, sample_every=3)
    assert f"stopped at step {final(out)['step']} of" in str(raised.value)


def test_ctrl_c_right_after_the_last_look(tmp_path, monkeypatch):
    class LateStop(StopRequest):
        """Asked to stop when the loop looks for the sixth time: after step 5, with nothing saved since 4."""

        looks = 0

        @property
        def requested(self):
            self.looks += 1
            return self.looks >= 6

        @requested.setter
        def requested(self, value):
            pass

    monkeypatch.setattr(trainer, "StopRequest", LateStop)
    with pytest.raises(training.Interrupted, match="stopped at step 5 of 9"):
        train(tmp_path / "a", steps=9, save_every=4)
    assert final(tmp_path / "a")["step"] == 5


def test_ctrl_c_in_the_last_step_finishes(tmp_path, monkeypatch):
    play, steps = trainer.play, itertools.count(1)

    def interrupt(*arguments):
        if next(steps) == 6:
            signal.raise_signal(signal.SIGINT)
        return play(*arguments)

    monkeypatch.setattr(trainer, "play", interrupt)
    assert train(tmp_path / "a", steps=6).card["status"] == "finished"


def test_the_second_ctrl_c_stops_at_once():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores Ctrl-C
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        signal.raise_signal(signal.SIGINT)
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def test_training_in_a_thread_leaves_signals_alone(tmp_path):
    before, runs = signal.getsignal(signal.SIGINT), []

    def job():
        runs.append((train(tmp_path / "a", steps=2), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=job)
    thread.start()
    thread.join()
    assert runs[0][0].card["step"] == 2
    assert runs[0][1] is before


# ---- several GPUs ------------------------------------------------------------------------------------


def test_one_gpu_is_the_method_itself():
    method = tiny()
    assert split_over_gpus(method, 1) is method


def test_gpus_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match=r"^2 GPUs are asked for; this machine has 1$"):
        split_over_gpus(tiny(), 2)
    with pytest.raises(ValueError, match=r"^2 GPUs are asked for; this machine has 1$"):
        train(tmp_path / "a", gpus=2)
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a machine with GPUs the split is a real one")
def test_the_split_view_shares_parameters(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    method = tiny()
    view = split_over_gpus(method, 2)
    assert all(isinstance(network, torch.nn.DataParallel) for network in view.networks.values())
    assert not any(isinstance(network, torch.nn.DataParallel) for network in method.networks.values())
    assert [id(p) for p in view.parameters()] == [id(p) for p in method.parameters()]
    assert [id(b) for b in view.buffers()] == [id(b) for b in method.buffers()]
    run = train(tmp_path / "a", method=method, gpus=2)
    alone = train(tmp_path / "b")
    a, b = (load_file(r.path / "generator.safetensors") for r in (run, alone))
    assert a.keys() == b.keys()  # names without DataParallel's "module."
    assert all(torch.equal(a[key], b[key]) for key in a)


# ---- progress ----------------------------------------------------------------------------------------


def test_the_progress_bar(tmp_path, capsys):
    train(tmp_path / "a", steps=4, log_every=2, progress=True)
    said = capsys.readouterr().err
    for word in ("4/4", "discriminator ", "generator ", "D(x) 0.", "D(G(z)) 0.", "images/s", "step/s"):
        assert word in said
    train(tmp_path / "b", steps=4, progress=False)
    assert capsys.readouterr().err == ""


def test_who_sees_a_progress_bar(monkeypatch):
    class Terminal:
        def isatty(self):
            return True

    monkeypatch.delenv("GAN_COURSE_PROGRESS", raising=False)
    monkeypatch.delitem(progress.sys.modules, "ipykernel", raising=False)
    assert not progress.shows_progress(None)
    monkeypatch.setattr(progress.sys, "stderr", Terminal())
    assert progress.shows_progress(None)
    monkeypatch.setenv("GAN_COURSE_PROGRESS", "0")
    assert not progress.shows_progress(None)
    assert progress.shows_progress(True)
    assert not progress.shows_progress(False)


def test_every_setting_has_a_help_text():
    for field in dataclasses.fields(training.TrainingSettings):
        assert field.metadata["help"]


# ---- learning rates ----------------------------------------------------------------------------------


def test_the_learning_rate_is_constant_and_then_falls_in_a_straight_line():
    factors = [learning_rate_factor(step, 100, 0.5) for step in range(100)]
    assert factors[:51] == [1.0] * 51
    assert factors[75] == pytest.approx(0.5)
    assert factors[99] == pytest.approx(1 / 50)  # the last step still learns
    assert [learning_rate_factor(step, 100, 0.0) for step in (0, 99)] == [1.0, 1.0]


def test_every_player_trains_at_the_scaled_rate(tmp_path, monkeypatch):
    rates = []
    original = trainer.play

    def spy(method, optimizers, *others):
        rates.append({player: o.param_groups[0]["lr"] for player, o in optimizers.items()})
        return original(method, optimizers, *others)

    monkeypatch.setattr(trainer, "play", spy)
    run = train(tmp_path / "run", steps=4, decay=1.0)
    asked = run.method.config.learning_rate
    for player in ("discriminator", "generator"):
        assert [rate[player] for rate in rates] == pytest.approx(
            [asked, 0.75 * asked, 0.5 * asked, 0.25 * asked]
        )


def test_a_resumed_run_goes_down_the_same_line(tmp_path):
    whole = train(tmp_path / "whole", steps=8, decay=1.0, save_every=2)
    train(tmp_path / "parts", steps=8, decay=1.0, save_every=2)
    halfway = checkpoints.load(tmp_path / "parts")  # step 8; the one before it is of step 6
    assert halfway["step"] == 8
    (tmp_path / "parts" / checkpoints.NAME).unlink()
    parts = train(tmp_path / "parts", steps=8, decay=1.0, save_every=2, resume=True)
    for name, value in whole.method.state_dict().items():
        assert torch.equal(value, parts.method.state_dict()[name])


@pytest.mark.parametrize("decay", [-0.1, 1.5])
def test_a_decay_that_is_no_share_is_refused(decay):
    with pytest.raises(ValueError, match=f"decay is {decay}; it must be from 0 to 1"):
        training.TrainingSettings(decay=decay)


def test_the_learning_rate_rises_over_the_warm_up():
    assert [learning_rate_factor(step, 100, warmup=4) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    both = [learning_rate_factor(step, 10, decay=1.0, warmup=5) for step in range(10)]
    assert both == pytest.approx([0.2, 0.4, 0.6, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])


# ---- a checkpoint that is no checkpoint of this run --------------------------------------------------


def test_a_checkpoint_of_something_else(tmp_path):
    out = tmp_path / "a"
    train(out, steps=2)
    (out / checkpoints.PREVIOUS).unlink()
    state = final(out)
    for spoilt, reason in (
        (state | {"method": {}}, "Missing key"),
        ({key: value for key, value in state.items() if key != "optimizers"}, "optimizers"),
    ):
        torch.save(spoilt, out / checkpoints.NAME)
        with pytest.raises(ValueError, match=rf"^the checkpoint in .*a does not fit this run \(.*{reason}"):
            train(out, steps=3, resume=True)
    torch.save({"weights": torch.ones(3)}, out / checkpoints.NAME)
    with pytest.warns(UserWarning, match="cannot be read"), pytest.raises(ValueError, match="start the run"):
        train(out, steps=3, resume=True)


def test_a_run_from_before_a_setting_was_there_can_go_on(tmp_path):
    train(tmp_path / "a", steps=2)
    card = read_card(tmp_path / "a")
    del card["settings"]["warmup"]
    (tmp_path / "a" / "run.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="warmup was 0 and is now 5"):
        train(tmp_path / "a", steps=3, warmup=5, resume=True)
    assert train(tmp_path / "a", steps=3, resume=True).card["step"] == 3


def test_an_image_that_cannot_be_read_says_how_to_go_on(tmp_path, monkeypatch):
    batches = trainer.data.batches

    def failing(*arguments, **named):
        yield from itertools.islice(batches(*arguments, **named), 5)
        raise OSError("photo-17.png cannot be read")

    monkeypatch.setattr(trainer.data, "batches", failing)
    with pytest.raises(OSError) as raised:
        train(tmp_path / "a", steps=8, save_every=2)
    assert str(raised.value) == (
        "photo-17.png cannot be read; stopped at step 5, the last good checkpoint is "
        f"{tmp_path / 'a' / 'checkpoint.pt'}, step 4. To go on, mend the cause and run the same again "
        "with resume=True (on the command line: --resume)."
    )


# ---- no number is read from the device in a step -----------------------------------------------------

READS = ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__array__", "nonzero")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", methods.names())
def test_no_step_reads_a_number_from_the_device(name, precision, monkeypatch):
    method = small(name)
    batch = bench.made_up_images(method, 8).batch(range(8))
    optimizers = {player: method.optimizer(player) for player in method.players}
    trainer.play(method, optimizers, batch, precision)  # the first step of Adam makes its state
    reads = []
    for read in READS:
        original = getattr(torch.Tensor, read)
        monkeypatch.setattr(
            torch.Tensor,
            read,
            lambda *a, read=read, original=original, **k: (reads.append(read), original(*a, **k))[1],
        )
    trainer.play(method, optimizers, batch, precision)
    assert not reads
    assert torch.ones(1).item() == 1  # the count counts
    assert reads == ["item"]


# ---- the bench ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", methods.names())
def test_every_method_can_be_measured(name):
    settings = training.TrainingSettings(batch_size=4, device="cpu")
    cost = bench.measure(small(name), settings, steps=2)
    assert cost.images_per_second > 0
    assert cost.peak_bytes is None or cost.peak_bytes > 1e6
    assert set(cost.shares) == {"data", "discriminator", "generator", "optimizer"}
    assert all(share > 0 for share in cost.shares.values())
    assert sum(cost.shares.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    "fields",
    [
        {"turns": "simultaneous", "channels_last": True},
        {"turns": "accuracy:0.6", "accumulate": 2},
        {"turns": "epochs:1", "precision": "bfloat16"},
    ],
)
def test_the_bench_plays_by_the_settings(fields, monkeypatch):
    played = []

    def spy(method, optimizers, batch, precision, turns, movers, accumulate):
        played.append((precision, turns.name, accumulate))
        return trainer.play(method, optimizers, batch, precision, turns, movers, accumulate)

    monkeypatch.setattr(bench, "play", spy)
    settings = training.TrainingSettings(batch_size=4, device="cpu", **fields)
    cost = bench.measure(tiny(), settings, steps=3)
    asked = (settings.precision, settings.turns.split(":")[0], settings.accumulate)
    assert set(played) == {asked}
    assert len(played) == bench.WARM_UP + 2 * 3
    assert cost.shares["discriminator"] > 0


def test_time_counts_for_the_part_that_took_it(monkeypatch):
    def slow(self, *arguments, **named):
        time.sleep(0.02)
        return type(self).forward_generators(self, *arguments, **named)

    method = tiny()
    monkeypatch.setattr(method, "forward_generators", lambda batch: slow(method, batch))
    shares = bench.measure(method, training.TrainingSettings(batch_size=4, device="cpu"), steps=3).shares
    assert max(shares, key=shares.get) == "generator"


def test_what_the_bench_refuses():
    settings = training.TrainingSettings(batch_size=4, device="cpu")
    with pytest.raises(ValueError, match="steps is 0; it must be 1 or more"):
        bench.measure(tiny(), settings, steps=0)
    with pytest.raises(ValueError, match=r"data_shape is \(2,\); the bench makes up images"):
        bench.measure(methods.build("gan", data_shape=(2,)), settings)
    needy = tiny()
    needy.needs = ("image", "sound")
    with pytest.raises(ValueError, match="cgan needs sound, which the bench cannot make up"):
        bench.measure(needy, settings)


def test_the_bench_on_the_command_line(capsys):
    sizes = ["--image-size", "16", "--ngf", "2", "--ndf", "2"]
    run = ["bench", "dcgan", "--batch-size", "4", "--steps", "2", "--device", "cpu", *sizes]
    assert cli.main(run) == 0
    said = capsys.readouterr().out
    assert "dcgan, 2 steps on cpu: " in said and "images/s" in said
    for part in bench.PARTS:
        assert f"{part} " in said
    assert cli.main([*run, "--turns", "chess"]) == 1
    assert "turns 'chess' is no rule" in capsys.readouterr().err


# ---- compiled networks -------------------------------------------------------------------------------


def test_compiled_networks_learn_the_same(tmp_path, monkeypatch):
    """Without the code generator, whose start takes half a minute; a slow test below has it."""
    backend = functools.partial(torch.compile, backend="aot_eager")
    monkeypatch.setattr(torch, "compile", backend)
    compiled = train(tmp_path / "a", method=tiny("dcgan"), steps=4, compile=True)
    plain = train(tmp_path / "b", method=tiny("dcgan"), steps=4)
    a, b = (final(run.path) for run in (compiled, plain))
    assert a["method"].keys() == b["method"].keys()
    assert all(torch.allclose(a["method"][key], b["method"][key], atol=1e-6) for key in a["method"])
    # one may go on with the other's checkpoint
    assert train(tmp_path / "a", method=tiny("dcgan"), steps=5, resume=True).card["step"] == 5


def test_the_gradient_of_a_gradient_is_taken_without_compiling(monkeypatch):
    calls = []
    monkeypatch.setattr(torch, "compile", lambda network: lambda x: (calls.append(len(x)), network(x))[1])
    network = views.Compiled(torch.nn.Linear(3, 1))
    x = torch.randn(5, 3)
    network(x)
    network(2 * x.requires_grad_())  # not a leaf: an image on its way to the generator
    assert calls == [5, 5]
    network(x)  # a leaf: a point of the penalty
    assert calls == [5, 5]


def test_compile_does_not_go_with_several_gpus_in_one_process():
    with pytest.raises(ValueError, match="compile does not go with 2 GPUs in one process; take torchrun"):
        training.TrainingSettings(compile=True, gpus=2)


@pytest.mark.slow
def test_compiled_by_the_code_generator(tmp_path):
    compiled = train(tmp_path / "a", method=tiny("dcgan"), steps=3, compile=True)
    plain = train(tmp_path / "b", method=tiny("dcgan"), steps=3)
    a, b = (final(run.path)["method"] for run in (compiled, plain))
    assert all(torch.allclose(a[key], b[key], atol=1e-5) for key in a)


# ---- TensorBoard -------------------------------------------------------------------------------------


def test_tensorboard_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(board, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="package tensorboard is not installed: pip install tensorboard"):
        train(tmp_path / "a", tensorboard=True)
    assert not (tmp_path / "a").exists()


def test_what_tensorboard_gets(tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder, purge_step):
            written.append(("open", folder.name, purge_step))

        def add_scalar(self, name, value, step):
            written.append((name, step, value))

        def add_image(self, name, picture, step, dataformats):
            written.append((name, step, picture.shape, dataformats))

        def close(self):
            written.append(("close",))

    monkeypatch.setattr(board, "find_spec", lambda name: "here")
    fake = types.ModuleType("torch.utils.tensorboard")
    fake.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    run = train(tmp_path / "a", steps=4, log_every=2, sample_every=4, tensorboard=True)
    assert written[0] == ("open", "tensorboard", 0)
    assert written[-1] == ("close",)
    grids = [entry for entry in written if entry[0] == "samples"]
    assert grids == [("samples", step, (38, 38, 3), "HWC") for step in (0, 4)]
    losses = [entry for entry in written if entry[0] == "generator"]
    assert losses == [("generator", step, pytest.approx(v)) for step, v in zip((2, 4), run.log["generator"])]  # noqa: B905


def test_files_of_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(tmp_path / "a", steps=4, log_every=2, tensorboard=True)
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("generator")] == [2, 4]
    assert [event.step for event in events.Images("samples")] == [0, 4]
