"""Writing a file so that a reader finds the old one or the new one, never half of one."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path, previous: Path | None = None) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is flushed to disk and takes its place.

    What was there moves to `previous`, where one is given. A process killed on the way leaves the
    temporary file behind; the next one overwrites it.

    Raises OSError naming the file where it cannot be written; what was there stays.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        if previous is not None and path.exists():
            path.replace(previous)
        temporary.replace(path)
    except Exception as error:  # a full disk: torch.save raises RuntimeError, safetensors a class of its own
        raise OSError(f"could not write {path}: {error}; what was there before is untouched") from error
    finally:
        temporary.unlink(missing_ok=True)
