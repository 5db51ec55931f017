"""log.csv: one line per interval, the mean of every term over it."""

import csv
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan_course.training import distributed
from gan_course.training.files import replacing


class Interval:
    """Sums of the terms since the last line, kept on the device.

    Adding a number to a tensor on the device costs nothing; reading it makes the machine wait for the
    device. So terms are added every step and read only when a line is due.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, terms: dict[str, Tensor]) -> None:
        """One step's terms, each a scalar."""
        for name, term in terms.items():
            term = term.detach().float()
            self.sums[name] = self.sums[name] + term if name in self.sums else term.clone()
            self.counts[name] = self.counts.get(name, 0) + 1

    def average_over_ranks(self) -> None:
        """Every rank's sums become their mean over the ranks."""
        distributed.average(self.sums.values())

    def means(self) -> dict[str, float]:
        """The mean of every term over the steps that had it and over the ranks."""
        totals = numbers(self.sums)
        return {name: total / self.counts[name] for name, total in totals.items()}


def numbers(terms: dict[str, Tensor]) -> dict[str, float]:
    """Scalars on the device as numbers, means over the ranks; the machine waits for the device once."""
    if not terms:
        return {}
    values = torch.stack([term.float() for term in terms.values()])
    distributed.average([values])
    return dict(zip(terms, values.tolist(), strict=True))


def append(path: Path, row: dict[str, float]) -> None:
    """Adds a line, with the header if it is the first.

    A term that no line had before (a player who moves for the first time) gets a column at the end;
    a term that this line lacks is left empty.
    """
    columns = header(path)
    new = [name for name in row if name not in columns]
    if columns and new:
        lines = path.read_text().splitlines()[1:]
        with replacing(path) as temporary:
            padded = [line + "," * len(new) for line in lines]
            temporary.write_text("\n".join([",".join([*columns, *new]), *padded]) + "\n")
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, [*columns, *new], lineterminator="\n")
        if not columns:
            writer.writeheader()
        writer.writerow(row)
        file.flush()
        os.fsync(file.fileno())


def header(path: Path) -> list[str]:
    """The names of a log's columns; none where there is no log yet."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return next(csv.reader(file), [])


def read(path: Path) -> dict[str, np.ndarray]:
    """The columns of a log by name, float64, NaN where a line is empty; no columns where there is no log."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return {}
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}


def cut(path: Path, step: int) -> None:
    """Drops the lines after `step`, which a resumed run writes again, and a line that a kill cut in half."""
    if not path.exists():
        return
    header, *lines = path.read_bytes().splitlines(keepends=True) or [b""]
    kept = [line for line in lines if line.endswith(b"\n") and int(line.split(b",")[0]) <= step]
    if not kept:
        path.unlink()  # the next line comes with a header
        return
    with replacing(path) as temporary:
        temporary.write_bytes(b"".join([header, *kept]))
