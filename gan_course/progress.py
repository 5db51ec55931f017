"""Whether long work draws a progress bar."""

import os
import sys


def shows_progress(asked: bool | None) -> bool:
    """The caller's wish; without one, yes wherever a person can watch: on a terminal or in a notebook.

    The environment variable GAN_COURSE_PROGRESS=0 turns the bars off that nobody asked for, as the
    build of the book does.
    """
    if asked is not None:
        return asked
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    return watched and os.environ.get("GAN_COURSE_PROGRESS", "1") != "0"
