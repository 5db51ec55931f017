"""Build the book: execute what has changed, write the HTML, say where it is.

    python book/build.py [--again] [--open]

Chapters are executed side by side, one per core, into an execution cache that knows the package as well as
the cells (see book/_extensions/course_book.py); Sphinx then takes every output from there. Any warning and
any error in a cell is an error here. When nothing changed since the last build, nothing is done.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import webbrowser
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).resolve().parent / "_extensions"))
import course_demos  # noqa: E402
from course_book import NOT_HASHED, cache_folder, demos_folder, execution_key  # noqa: E402

KEPT_CACHES = 2
WIDGET = "application/vnd.jupyter.widget-view+json"
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def chapters(root: Path) -> list[Path]:
    """The notebooks named in the table of contents, in the book's order."""
    toc = (root / "book/_toc.yml").read_text()
    names = re.findall(r"^\s*-?\s*file:\s*(\S+)", toc, re.MULTILINE)
    return [root / f"{name}.ipynb" for name in names if (root / f"{name}.ipynb").exists()]


def build_key(root: Path) -> str:
    """A hash of everything that the built pages depend on."""
    digest = hashlib.sha256(execution_key(root).encode())
    sources = [path for folder in ("book", "notebooks") for path in sorted((root / folder).rglob("*"))]
    for path in [root / "_config.yml", *sources]:
        inside = path.relative_to(root)
        if path.is_file() and not NOT_HASHED.union({"_build", "runs"}).intersection(inside.parts):
            digest.update(inside.as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def kernel_environment(threads: int) -> dict[str, str]:
    return {
        "OMP_NUM_THREADS": str(threads),
        "JUPYTER_PREFER_ENV_PATH": "1",
        # the debugger's remark on frozen modules would stand in the output of the first cell
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        # the built book is the quick version unless someone asks for the other
        "GAN_COURSE_PROGRESS": "0",  # nobody watches; a finished progress bar is no output
        "GAN_COURSE_FAST": os.environ.get("GAN_COURSE_FAST", "1"),
    }


def execute(path: Path, log: Path, timeout: int, threads: int):
    """Run one notebook in an empty folder; returns it with its outputs, the seconds, and any traceback."""
    import nbformat
    from jupyter_cache.executors.utils import single_nb_execution

    os.environ.update(kernel_environment(threads))
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    with log.open("a") as stream:
        os.dup2(stream.fileno(), 2)  # what kernels say about themselves on starting
    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        result = single_nb_execution(notebook, cwd=folder, timeout=timeout, allow_errors=False)
    forget_unused_widgets(notebook)
    return notebook, result.time, result.exc_string if result.err is not None else None


def end_with(parent: int) -> None:
    """End this process when `parent` has ended, however it did; the kernel then ends by itself."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def readable(traceback: str) -> str:
    """The failing cell and its own traceback, without colours and without the frames of the machinery."""
    return ANSI.sub("", traceback).rpartition("CellExecutionError: ")[2].strip()


def forget_unused_widgets(notebook) -> None:
    """Drop the state of widgets that no output shows: else the page loads megabytes of code for nothing."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    if not any(WIDGET in output.get("data", {}) for output in outputs):
        notebook.metadata.pop("widgets", None)


def execute_changed(root: Path, executed: Path, timeout: int) -> list[str]:
    """Execute the chapters that the cache does not hold; returns a message for each that failed."""
    import nbformat
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn

    cache = get_cache(executed)

    def is_cached(path: Path) -> bool:
        try:
            cache.match_cache_notebook(nbformat.read(path, as_version=4))
        except KeyError:
            return False
        return True

    todo = [path for path in chapters(root) if not is_cached(path)]
    if not todo:
        return []
    workers = min(len(todo), os.cpu_count() or 1)
    threads = max(1, (os.cpu_count() or 1) // workers)
    count = f"{len(todo)} chapter{'s' if len(todo) > 1 else ''}"
    print(f"Executing {count}, {workers} at a time; about a minute each.", flush=True)
    # built here once: in a kernel, matplotlib would report it on the page
    import matplotlib.font_manager  # noqa: F401

    failures = []
    # spawned, not forked: a fork would hold the lock of this build for as long as it lives
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    jobs = {
        pool.submit(execute, path, root / "book/_build/kernels.log", timeout, threads): path for path in todo
    }
    for job in as_completed(jobs):
        path = jobs[job]
        name = path.relative_to(root).as_posix()
        notebook, seconds, traceback = job.result()
        if traceback:
            failures.append(f"{name} stopped with an error:\n{readable(traceback)}")
            print(f"  {name} FAILED after {seconds:.0f} s", flush=True)
            continue
        bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        print(f"  {name}  {seconds:.0f} s", flush=True)
    pool.shutdown()
    return failures


def start_missing_demos(root: Path, folder: Path) -> subprocess.Popen | None:
    """Start to make the networks and pictures of the demonstrations that are not there yet."""
    parts = folder / course_demos.INSIDE
    names = course_demos.missing(parts)
    if not names:
        return None
    print(f"Making {len(names)} demonstrations beside that.", flush=True)
    command = [sys.executable, str(root / "book/_extensions/course_demos"), *names, "--to", str(parts)]
    environment = {**os.environ, **kernel_environment(1)}
    return subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.DEVNULL)


def write_html(root: Path, executed: Path) -> int:
    """Run Jupyter Book with warnings as errors; its words go to build.log, its warnings to the terminal."""
    target = root / "book/_build"
    arguments = ["build", ".", "--config", "_config.yml", "--toc", "book/_toc.yml", "--path-output", "book"]
    arguments += ["-W", "-n", "--keep-going", "--all"]
    code = "from jupyter_book.cli.main import main; main()"
    environment = {**os.environ, **kernel_environment(os.cpu_count() or 1), "NO_COLOR": "1"}
    environment["COURSE_EXECUTED"] = str(executed)
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=root, env=environment, capture_output=True, text=True
    )
    said = ANSI.sub("", result.stdout + result.stderr)
    (target / "build.log").write_text(said)
    warnings = [line for line in said.splitlines() if re.search(r"\b(WARNING|ERROR|CRITICAL):", line)]
    (target / "warnings.txt").write_text("".join(f"{line}\n" for line in dict.fromkeys(warnings)))
    if result.returncode:
        print("\n".join(dict.fromkeys(warnings)) or said[-4000:], file=sys.stderr)
        print(f"The book was not built; the whole log: {target / 'build.log'}", file=sys.stderr)
    return result.returncode


def prune_caches(used: Path) -> None:
    """Keep the cache in use and the one before it."""
    others = [path for path in used.parent.iterdir() if path != used]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[KEPT_CACHES - 1 :]:
        shutil.rmtree(path)


def build(root: Path = ROOT, again: bool = False) -> int:
    """Build the book of ``root``; returns the exit status."""
    target = root / "book/_build"
    target.mkdir(parents=True, exist_ok=True)
    with (target / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another build of this book is running: waiting for it.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        return build_alone(root, target, again)


def build_alone(root: Path, target: Path, again: bool) -> int:
    stamp = target / "built"
    key = build_key(root)
    page = target / "html/index.html"
    if not again and page.exists() and stamp.exists() and stamp.read_text() == key:
        print(f"The book is up to date. Open it: {page.as_uri()}")
        return 0
    started = time.monotonic()
    stamp.unlink(missing_ok=True)
    executed = cache_folder(root)
    executed.mkdir(parents=True, exist_ok=True)
    timeout = yaml.safe_load((root / "_config.yml").read_text())["execute"]["timeout"]
    demos = demos_folder(root)
    making = start_missing_demos(root, demos)
    failures = execute_changed(root, executed, timeout)
    if making and making.wait():
        failures.append("The demonstrations were not made, see above.")
    if failures:
        print("\n\n".join(failures), file=sys.stderr)
        return 1
    print("Writing the pages.", flush=True)
    shutil.rmtree(target / "html", ignore_errors=True)  # no page may outlive its source
    status = write_html(root, executed)
    if status:
        return status
    prune_caches(executed)
    prune_caches(demos)
    stamp.write_text(key)
    print(f"The book is built, in {time.monotonic() - started:.0f} s. Open it: {page.as_uri()}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--again", action="store_true", help="build even when nothing changed")
    parser.add_argument("--open", action="store_true", help="show the book in the browser when it is built")
    options = parser.parse_args()
    try:
        status = build(again=options.again)
    except KeyboardInterrupt:
        print(
            "\nStopped. What has been executed is kept; the same command goes on.",
            file=sys.stderr,
            flush=True,
        )
        os._exit(130)  # without waiting for the chapters under way: they end with this process
    if options.open and status == 0:
        webbrowser.open((ROOT / "book/_build/html/index.html").as_uri())
    sys.exit(status)
