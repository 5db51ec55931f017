"""What a chapter's cells call: set-up, device report, fast mode, source, checks, run folders."""

import importlib.metadata
import inspect
import os
import platform
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gan_course import __version__, plots
from gan_course.training.settings import choose_device


def setup(seed: int = 0) -> torch.device:
    """Seeds Python, NumPy and torch, sets the book's plot style, and says what it runs on.

    Returns the device to use: the GPU where there is one.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries that a chapter calls still draw from the global state
    torch.manual_seed(seed)
    plots.set_style()
    device = choose_device("auto")
    versions = [
        f"gan_course {__version__}",
        f"Python {platform.python_version()}",
        f"torch {torch.__version__}",
    ]
    versions.append(f"torchvision {importlib.metadata.version('torchvision')}")
    print(", ".join(versions))
    print(f"device: {describe_device(device)}")
    if device.type == "cpu" and "COLAB_RELEASE_TAG" in os.environ:
        print("To switch a GPU on: Runtime > Change runtime type > T4 GPU, then run this cell again.")
    return device


def describe_device(device: torch.device) -> str:
    """One line for a reader: the GPU's name and memory, or the number of CPU threads."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    return f"{device.type}, {torch.get_num_threads()} threads"


def fast_by_default() -> bool:
    """Whether a chapter takes its short path: yes without a GPU.

    The environment variable GAN_COURSE_FAST (1 or 0) decides where it is set.

    Raises ValueError if the variable is something else.
    """
    asked = os.environ.get("GAN_COURSE_FAST", "")
    if asked not in ("", "0", "1"):
        raise ValueError(f"GAN_COURSE_FAST is {asked!r}; it must be 0, 1 or unset")
    return asked == "1" if asked else not torch.cuda.is_available()


def run_folder(name: str, fast: bool) -> Path:
    """Where a chapter's training run goes.

    A real run goes to runs/NAME, where it is found again and resumed. A fast run takes a new
    temporary folder, so that what the page shows is always what the page just computed.
    """
    if not fast:
        return Path("runs") / name
    return Path(tempfile.mkdtemp(prefix=f"gan_course-{name}-"))


def show_source(thing: Any) -> Any:
    """The source of a function or class of the package, highlighted."""
    from IPython.display import Code

    return Code(inspect.getsource(thing).rstrip(), language="python")


def check_equal(name: str, formula: Any, code: Any, tolerance: float = 1e-6) -> None:
    """Compares a formula written out on the page with the package's code, on the same numbers.

    Args:
        name: what is compared, for the message.
        formula, code: numbers, arrays or tensors of one shape.
        tolerance: largest absolute difference allowed.

    Raises:
        AssertionError: they differ, in shape or by more than the tolerance.
    """
    a = torch.as_tensor(formula, dtype=torch.float64, device="cpu").detach()
    b = torch.as_tensor(code, dtype=torch.float64, device="cpu").detach()
    if a.shape != b.shape:
        raise AssertionError(f"{name}: the formula gives shape {tuple(a.shape)}, the code {tuple(b.shape)}")
    # infinity agrees with infinity, though their difference is not a number
    difference = (a - b).abs().masked_fill(a == b, 0).max().item() if a.numel() else 0.0
    if not difference <= tolerance:
        raise AssertionError(f"{name}: formula and code differ by {difference:.3g} (allowed {tolerance:g})")
    print(f"{name}: formula and code agree (largest difference {difference:.1e})")
