"""What a sandboxed kernel may print and display: enough to read, never enough to drown a grader.

Messages above a few thousand are dropped by the transport without a word, the value of a check among them.
"""

from typing import Any

from ipykernel.iostream import OutStream
from ipykernel.zmqshell import ZMQDisplayPublisher, ZMQInteractiveShell

from gan_course.grading.probes import MIME

LETTERS = 100_000  # printed by a cell
MESSAGES = 100  # sent by a cell because it asked for it: flushes, displays
CUT = "\n[more was printed; it is left out]\n"


class Quiet(OutStream):
    """Standard output or error of a cell: the first 100,000 letters of it."""

    cell = None
    letters = 0
    flushes = 0

    def _count(self) -> None:
        cell = (self.parent_header or {}).get("msg_id")
        if cell != self.cell:
            self.cell, self.letters, self.flushes = cell, 0, 0

    def write(self, string: str) -> int | None:
        if not isinstance(string, str):
            return super().write(string)
        self._count()
        before, self.letters = self.letters, self.letters + len(string)
        if before > LETTERS:
            return len(string)
        if self.letters > LETTERS:
            super().write(string[: LETTERS - before] + CUT)
            return len(string)
        return super().write(string)

    def flush(self) -> None:
        self._count()
        self.flushes += 1
        if self.flushes <= MESSAGES:
            super().flush()


class QuietDisplay(ZMQDisplayPublisher):
    """Figures and other displays: the first hundred of a cell. Values of checks always get through."""

    cell = None
    displays = 0

    def publish(self, data: dict[str, Any], *arguments: Any, **options: Any) -> None:
        if MIME not in data:
            cell = (self.parent_header or {}).get("msg_id")
            if cell != self.cell:
                self.cell, self.displays = cell, 0
            self.displays += 1
            if self.displays > MESSAGES:
                return
        super().publish(data, *arguments, **options)


def install(application: Any) -> None:
    """Before the kernel's `initialize`."""
    application.outstream_class = f"{__name__}.Quiet"
    application.capture_fd_output = False
    ZMQInteractiveShell.display_pub_class.default_value = QuietDisplay
    ZMQInteractiveShell.display_pub_class.default_args = (QuietDisplay,)
