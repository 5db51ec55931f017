"""What the first cells of a chapter call."""

import random

import numpy as np
import pytest
import torch

from gan_course import losses, notebook


@pytest.fixture(autouse=True)
def restore_the_style():
    import matplotlib

    with matplotlib.rc_context():
        yield


# ---- set-up ------------------------------------------------------------------------------------------


def test_setup_seeds_everything(capsys):
    def drawn(seed):
        device = notebook.setup(seed)
        assert isinstance(device, torch.device)
        return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert first == again
    assert not set(first) & set(other)
    capsys.readouterr()


def test_setup_says_what_it_runs_on(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    assert notebook.setup() == torch.device("cpu")
    said = capsys.readouterr().out
    assert f"torch {torch.__version__}" in said
    assert "torchvision 0" in said
    assert f"device: cpu, {torch.get_num_threads()} threads" in said
    assert "Change runtime type" not in said
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    notebook.setup()
    assert "Runtime > Change runtime type > T4 GPU" in capsys.readouterr().out


def test_a_gpu_is_named(monkeypatch):
    class Properties:
        name, total_memory = "T4", 16 * 2**30

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    assert notebook.describe_device(torch.device("cuda")) == "T4, 16 GiB"


# ---- fast mode and run folders -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "gpu", "fast"),
    [("1", True, True), ("1", False, True), ("0", True, False), ("0", False, False)]
    + [(unset, gpu, not gpu) for unset in ("", None) for gpu in (True, False)],
)
def test_fast_by_default(variable, gpu, fast, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.delenv("GAN_COURSE_FAST", raising=False)
    if variable is not None:
        monkeypatch.setenv("GAN_COURSE_FAST", variable)
    assert notebook.fast_by_default() is fast


def test_fast_by_default_takes_no_other_word(monkeypatch):
    monkeypatch.setenv("GAN_COURSE_FAST", "yes")
    with pytest.raises(ValueError, match=r"^GAN_COURSE_FAST is 'yes'; it must be 0, 1 or unset$"):
        notebook.fast_by_default()


def test_run_folders():
    assert notebook.run_folder("digits", fast=False).parts == ("runs", "digits")
    folders = [notebook.run_folder("digits", fast=True) for _ in range(2)]
    try:
        assert folders[0] != folders[1]
        assert all(folder.is_dir() and not any(folder.iterdir()) for folder in folders)
        assert "digits" in folders[0].name
    finally:
        for folder in folders:
            folder.rmdir()


# ---- source and checks -------------------------------------------------------------------------------


def test_show_source_is_highlighted_source():
    shown = notebook.show_source(losses.hinge_discriminator)
    assert shown.data.startswith("def hinge_discriminator(")
    assert "F.relu(1 - real_scores)" in shown.data
    assert "<span" in shown._repr_html_()


@pytest.mark.parametrize(
    ("formula", "code"),
    [
        (1.0, 1.0 + 5e-7),
        (0.1, torch.tensor(0.1)),
        (1 / 3, torch.tensor(1 / 3, dtype=torch.float64)),
        (5000 / 7, torch.tensor(5000 / 7, dtype=torch.float64)),
        (np.array([1.0, 2.0]), torch.tensor([1.0, 2.0], requires_grad=True)),
        ([1.0, 2.0], np.array([1.0, 2.0], dtype=np.float32)),
        (float("inf"), torch.tensor(float("inf"))),
        (torch.empty(0), torch.empty(0)),
        (3, torch.tensor(3)),
    ],
)
def test_check_equal_confirms(formula, code, capsys):
    notebook.check_equal("KL", formula, code)
    said = capsys.readouterr().out
    assert said.startswith("KL: formula and code agree (largest difference ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("formula", "code", "message"),
    [
        (1.0, 1.001, r"^KL: formula and code differ by 0.001 \(allowed 1e-06\)$"),
        ([1.0, 2.0], [1.0, 2.5], r"^KL: formula and code differ by 0.5 \(allowed"),
        (1.0, float("nan"), "^KL: formula and code differ by nan"),
        (float("nan"), float("nan"), "^KL: formula and code differ by nan"),
        (float("inf"), 1.0, "^KL: formula and code differ by inf"),
        (float("inf"), -float("inf"), "^KL: formula and code differ by inf"),
        ([1.0, 1.0], 1.0, r"^KL: the formula gives shape \(2,\), the code \(\)$"),
    ],
)
def test_check_equal_refuses(formula, code, message, capsys):
    with pytest.raises(AssertionError, match=message):
        notebook.check_equal("KL", formula, code)
    assert capsys.readouterr().out == ""


def test_check_equal_tolerance(capsys):
    notebook.check_equal("KL", 1.0, 1.05, tolerance=0.1)
    assert "5.0e-02" in capsys.readouterr().out
    with pytest.raises(AssertionError, match=r"allowed 0\.01"):
        notebook.check_equal("KL", 1.0, 1.05, tolerance=0.01)


def test_check_equal_keeps_double_precision():
    """A number written in Python is not rounded to float32 before it is compared."""
    with pytest.raises(AssertionError, match="differ by 1e-09"):
        notebook.check_equal("KL", 1.0, 1.0 + 1e-9, tolerance=1e-10)
