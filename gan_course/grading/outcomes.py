"""What a runner reports of one assembled notebook: a record for every cell that ran."""

import dataclasses
from typing import Any, Literal

SETUP = "setup-"  # how the ids of the cells begin that run before all of the student's
CellStatus = Literal["right", "wrong", "done", "error", "timeout", "dead"]


@dataclasses.dataclass(frozen=True)
class CellRun:
    """One executed cell.

    Attributes:
        cell: id of the cell in the assembled notebook.
        status: of a check, "right" or "wrong"; of another cell, "done"; of any, "error" (it raised),
            "timeout" (stopped at its time limit) or "dead" (the kernel was gone, during it or before).
        says: of a check, the reference's sentence on the first value that differs or did not arrive.
        detail: of a wrong check, how it differs, where that may be told.
        raised: of an error, {"type", "message"} and where known {"function", "line", "text"}. It comes from
            the student's process: not to be trusted, and not to be shown unfiltered in private grading.
    """

    cell: str
    status: CellStatus
    says: str = ""
    detail: str = ""
    raised: dict[str, Any] | None = None


@dataclasses.dataclass
class Outcome:
    """One assembled notebook, executed.

    Attributes:
        cells: records by cell id, of those that ran; a cell that is not there did not run.
        status: "finished", "timeout" (stopped at the time limit of the whole), "killed" (the process
            was ended by a signal) or "broken" (the runner itself failed; `stderr` says how).
        seconds: wall-clock time.
        peak_memory: bytes, where measured.
        isolation: what protected the machine, for the report.
        unprepared: whether the set-up, which runs before all of the student's, did not come to its end:
            then nothing has been found out about the answer.
        ended: what ended the process in which the answer ran, in words that follow "the answer was
            stopped: ", "" where nothing but the grader did.
    """

    cells: dict[str, CellRun] = dataclasses.field(default_factory=dict)
    status: Literal["finished", "timeout", "killed", "broken"] = "finished"
    returncode: int | None = None
    seconds: float = 0.0
    stderr: str = ""
    peak_memory: int | None = None
    isolation: dict[str, Any] = dataclasses.field(default_factory=dict)
    unprepared: bool = False
    ended: str = ""
