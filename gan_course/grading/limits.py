"""What a submission's kernel may use up, and the resource limits that say so to the system.

Only the standard library: the launcher of the sandbox reads this before any package is on the path.
"""

import contextlib
import dataclasses
import resource
import sys
from pathlib import Path

MIB = 2**20
LIBRARIES = 4096 * MIB
LITERAL_SECONDS = 20.0  # for a question that is judged once more with all that its cells do
GRACE = 60.0  # seconds beyond the limit of a submission, for the grader's own work


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of one kernel. Memory is counted beyond what Python and its libraries take before the start."""

    memory_mib: int = 2048  # address space of each process, and resident memory of all of them together
    file_mib: int = 64  # size of one file
    scratch_mib: int = 256  # everything written, where the scratch folder is a file system of its own
    processes: int = 64  # processes and threads
    cpu_seconds: int = 600  # processor time of each process

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"limit {field.name} is {getattr(self, field.name)}; it must be at least 1")

    def apply(self, tasks_already: int) -> None:
        """Limits the calling process and all that it starts. Nothing can raise them again.

        `tasks_already`: processes and threads that count against the same limit and are not ours.
        """
        # PyTorch maps some gigabytes that it does not use; what is used the guard watches as well
        libraries = 0 if "torch" in sys.modules else LIBRARIES
        address_space = address_space_now() + libraries + self.memory_mib * MIB
        wanted = {
            resource.RLIMIT_AS: address_space,
            resource.RLIMIT_FSIZE: self.file_mib * MIB,
            resource.RLIMIT_NPROC: self.processes + tasks_already,
            resource.RLIMIT_CPU: self.cpu_seconds,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_NOFILE: 1024,
            # beyond the soft limit of processor time comes a signal that can be caught; not at the hard one
            resource.RLIMIT_MEMLOCK: MIB,
            resource.RLIMIT_MSGQUEUE: 0,
        }
        for kind, value in wanted.items():
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            with contextlib.suppress(ValueError, OSError):  # where the system has no such limit
                resource.setrlimit(kind, (value, value))


def address_space_now() -> int:
    """Bytes of address space that this process has mapped; 4 GiB where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 4096 * MIB
    return pages * resource.getpagesize()


def tasks_of_user(uid: int) -> int:
    """Processes and threads that run as `uid` now."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.stat().st_uid == uid:
                count += len(list((process / "task").iterdir()))
    return count
