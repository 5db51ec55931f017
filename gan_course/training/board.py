"""TensorBoard's view of a run, for those who want it."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


class Board:
    """Scalars and sample grids in RUN/tensorboard, to look at with: tensorboard --logdir RUN.

    Where `on` is False, nothing is written and the package tensorboard is not needed.

    Raises ValueError naming the package where it is not installed.
    """

    def __init__(self, run: Path, on: bool) -> None:
        if on and find_spec("tensorboard") is None:
            raise ValueError(
                "tensorboard is asked for, and the package tensorboard is not installed: "
                "pip install tensorboard, or leave the option out"
            )
        self.folder = run / "tensorboard"
        self.on = on
        self.writer: Any = None

    def scalars(self, step: int, row: dict[str, float]) -> None:
        """A line of the log."""
        if self.on:
            for name, value in row.items():
                self._opened(step).add_scalar(name, value, step)

    def grid(self, step: int, path: Path) -> None:
        """A sample grid."""
        if self.on:
            self._opened(step).add_image("samples", np.asarray(Image.open(path)), step, dataformats="HWC")

    def _opened(self, step: int) -> Any:
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # purge_step: what a killed run wrote after its checkpoint is written again
            self.writer = SummaryWriter(self.folder, purge_step=step)
        return self.writer

    def close(self) -> None:
        """Writes what is still in memory."""
        if self.writer is not None:
            self.writer.close()
