"""Ctrl-C at a step boundary: the step in flight is finished, so that what is saved is a whole state."""

import signal
import threading
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """A run was stopped by the user, after its state was saved. The message says how to go on."""


class StopRequest:
    """Within: the first Ctrl-C (or SIGTERM) only sets `requested`; the second one stops at once.

    Outside the main thread, where Python allows no signal handlers, nothing is changed.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, object] = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # None: a handler that was not set from Python, and cannot be put back from there
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
