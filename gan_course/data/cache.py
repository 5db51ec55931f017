"""Tensors kept on disk between runs: safetensors files, written atomically, checked when read."""

import hashlib
import json
import os
from pathlib import Path

import platformdirs
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor


def folder() -> Path:
    """Where the course keeps what it rendered or downloaded: GAN_COURSE_CACHE, else the platform's cache
    folder."""
    return Path(
        os.environ.get("GAN_COURSE_CACHE") or platformdirs.user_cache_dir("gan_course", appauthor=False)
    )


def key(**request) -> str:
    """A short name for a request: the SHA-256 of its values, which must be plain JSON."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:32]


def content_digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 (hex) of names, dtypes, shapes and values."""
    hasher = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].cpu().contiguous()
        hasher.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        hasher.update(tensor.numpy().tobytes())
    return hasher.hexdigest()


def read(path: Path) -> dict[str, Tensor] | None:
    """The tensors stored at `path`; None where there is no such file, or where it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            digest = (file.metadata() or {}).get("digest")
        tensors = load_file(path)
    except (FileNotFoundError, SafetensorError):
        return None
    return tensors if content_digest(tensors) == digest else None


def write(path: Path, tensors: dict[str, Tensor]) -> None:
    """Store `tensors` at `path`. A reader sees the whole file or none, whenever this process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file(tensors, unfinished, metadata={"digest": content_digest(tensors)})
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
