"""One way to fetch a file: resumed where it broke off, checked against its size and SHA-256, never half
there. And one way to unpack it: whole or not at all, and nowhere but in its folder."""

import gzip
import hashlib
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from tqdm.auto import tqdm

from gan_course.progress import shows_progress

_BLOCK = 1 << 20
_UNPACKED = (
    1.3  # archives of pictures hardly shrink: so many times their size is what they unpack to, at most
)
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError)


class DiskFull(OSError):
    """There is no room; another address would not help."""


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(
    addresses: list[str],
    path: Path,
    size: int | None = None,
    digest: str | None = None,
    progress: bool | None = None,
) -> Path:
    """The file at `path`, downloaded from the first of `addresses` that delivers it, unless it is there
    already.

    `size` is in bytes, `digest` the SHA-256 in hex. Where no digest is known beforehand, that of the first
    download is printed and noted in `path` + ".sha256", and every later one must be the same. What was
    received before a break stays in `path` + ".part", and the next call goes on from there. Raises
    ConnectionError naming every address and what went wrong with it, DiskFull before the disk is.
    """
    path = Path(path)
    note = path.with_name(path.name + ".sha256")
    if digest is None and note.exists():
        digest = note.read_text(encoding="utf-8").split()[0]
    if path.exists() and digest and size in (None, path.stat().st_size) and sha256(path) == digest:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    failures = []
    for address in addresses:
        try:
            _receive(address, part, size, progress)
        except DiskFull:
            raise
        except (OSError, ValueError, HTTPException) as error:  # URLError and time-outs are OSErrors
            failures.append(f"{address}: {error}")
            continue
        received, found = part.stat().st_size, sha256(part)
        if size in (None, received) and digest in (None, found):
            part.replace(path)
            if digest is None:
                note.write_text(f"{found}  {path.name}\n", encoding="utf-8")
                print(f"{path.name}: {received:,} bytes, SHA-256 {found}, not known before; noted in {note}")
            return path
        expected = " ".join(str(value) for value in (size and f"{size} bytes,", digest) if value)
        failures.append(f"{address}: {received} bytes with a wrong SHA-256, expected {expected}")
        part.unlink()
    raise ConnectionError(f"could not download {path.name}:\n  " + "\n  ".join(failures))


def unpack(archive: Path, folder: Path) -> Path:
    """The content of a .zip or .tar.gz as `folder`, which appears when it is whole.

    A folder that is there already is left alone. Raises ValueError for an archive that is damaged, or that
    holds a path or a link which leads out of the folder (nothing is written there), DiskFull before the disk
    is.
    """
    folder = Path(folder)
    if folder.is_dir():
        return folder
    check_space(archive.parent, _UNPACKED * archive.stat().st_size)
    unfinished = folder.with_name(folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, unfinished)
        else:
            with tarfile.open(archive) as file:
                file.extractall(unfinished, filter="data")  # refuses what leads out of the folder
    except _DAMAGED as error:
        raise ValueError(f"{archive} cannot be unpacked: {error}; delete it to download it again") from None
    unfinished.replace(folder)
    return folder


def check_space(folder: Path, needed: float) -> None:
    """Raises DiskFull unless the disk that holds `folder` has room for `needed` bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(
            f"{folder} has room for {free / 1e9:.1f} GB, but {needed / 1e9:.1f} GB are needed; make room "
            "or set the environment variable GAN_COURSE_CACHE to a folder on a larger disk"
        )


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for name in file.namelist():
            if not (folder / name).resolve().is_relative_to(folder.resolve()):
                raise ValueError(
                    f'{archive} cannot be unpacked: "{name}" would be written outside of {folder}'
                )
        file.extractall(folder)


def _receive(address: str, part: Path, size: int | None, progress: bool | None) -> None:
    """Append to `part` what is missing of the file at `address`."""
    have = part.stat().st_size if part.exists() else 0
    if have and have == size:
        return
    if size is not None and have > size:
        part.unlink()
        have = 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # there is nothing after what we have: it is whole, or of another file
            if error.headers.get("Content-Range", "").endswith(f"/{have}"):
                return
            part.unlink()
        raise
    with response:
        if have and response.status != 206:  # the server sends the whole file again
            have = 0
        total = size or _length(response, have)
        check_space(part.parent, (total or 0) - have)
        bar = tqdm(
            total=total,
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
    if total is not None and part.stat().st_size < total:
        raise ConnectionError(
            f"broke off after {part.stat().st_size} of {total} bytes; run again to go on from there"
        )


def _length(response: HTTPResponse, have: int) -> int | None:
    """How long the whole file is, as the server says, where it does."""
    rest = response.headers.get("Content-Length")
    return have + int(rest) if rest else None
