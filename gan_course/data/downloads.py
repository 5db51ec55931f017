"""One way to fetch a file: checked against its size and SHA-256, resumed where it broke off, never half
there."""

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

from tqdm.auto import tqdm

from gan_course.progress import shows_progress

_BLOCK = 1 << 20


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(addresses: list[str], path: Path, size: int, digest: str, progress: bool | None = None) -> Path:
    """The file at `path`, downloaded from the first of `addresses` that delivers it, unless it is there
    already.

    `size` is in bytes, `digest` the SHA-256 in hex. What was received before a break stays in `path` +
    ".part", and the next call goes on from there. Raises ConnectionError naming every address and what went
    wrong with it.
    """
    path = Path(path)
    if path.exists() and path.stat().st_size == size and sha256(path) == digest:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    failures = []
    for address in addresses:
        try:
            _receive(address, part, size, progress)
        except (OSError, ValueError) as error:  # URLError and time-outs are OSErrors
            failures.append(f"{address}: {error}")
            continue
        if part.stat().st_size == size and sha256(part) == digest:
            part.replace(path)
            return path
        failures.append(
            f"{address}: {part.stat().st_size} bytes with a wrong SHA-256, expected {size} bytes, {digest}"
        )
        part.unlink()
    raise ConnectionError(f"could not download {path.name}:\n  " + "\n  ".join(failures))


def _receive(address: str, part: Path, size: int, progress: bool | None) -> None:
    """Append to `part` what is missing of the file at `address`."""
    if part.exists() and part.stat().st_size >= size:
        part.unlink()
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=30) as response:
        if have and response.status != 206:  # the server sends the whole file again
            have = 0
        bar = tqdm(
            total=size,
            initial=have,
            unit="B",
            unit_scale=True,
            desc=part.stem,
            disable=not shows_progress(progress),
        )
        with bar, part.open("ab" if have else "wb") as file:
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
    if part.stat().st_size < size:
        raise ConnectionError(
            f"broke off after {part.stat().st_size} of {size} bytes; run again to go on from there"
        )
