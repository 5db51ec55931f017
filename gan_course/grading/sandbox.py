"""Runs notebooks where they can do no harm, and reports what came of it.

    with Sandbox.open(hidden=[key, submissions]) as sandbox:
        outcome = sandbox.runner().verify(notebook, seconds=60)

`Sandbox` is one folder of settings and one nursery (see launcher.py) for a whole class; a `SandboxRunner` is
what grades with it, in this process or, by the folder's name, in others.
"""

import contextlib
import gc
import json
import os
import resource
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gan_course
from gan_course.grading import jail, launcher
from gan_course.grading.limits import MIB, Limits, address_space_now
from gan_course.grading.outcomes import SETUP, Outcome
from gan_course.grading.runner import CELL_SECONDS, read_results

KERNEL = "gan-course-sandbox"
PREFIX = "gan-course-"  # of the folder's name
PRELOAD = ("ipykernel.kernelapp", "ipykernel.ipkernel", "gan_course.grading.quiet")
GRADER_MEMORY = 1536 * MIB  # what a process that reads a kernel's messages may take
NURSERY_SECONDS = 180  # until it has imported everything, on a busy machine
STDERR = 4000  # letters of the runner's own trouble that are kept
KEPT_VARIABLES = ("LANG", "LC_ALL", "PATH", "SYSTEMROOT", "TZ")


def clear_away(parent: Path) -> None:
    """Removes folders of our own whose process was killed."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            process = int((folder / "pid").read_text())
            if folder.stat().st_uid == os.getuid() and not folder.is_symlink() and not alive(process):
                shutil.rmtree(folder, ignore_errors=True)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def kernel_environment() -> dict[str, str]:
    """What a submission's process knows of the machine's variables: next to nothing, no token among it."""
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TZ") if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {
        **kept,
        **threads,
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "JUPYTER_PLATFORM_DIRS": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "CUDA_VISIBLE_DEVICES": "",
        "GAN_COURSE_FAST": "1",
        "GAN_COURSE_PROGRESS": "0",
    }


def visible_folders() -> list[str]:
    """Python and its libraries, at all the names under which they may be asked for."""
    wanted = {
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(sys.exec_prefix),
        Path(gan_course.__file__).parent,
    }
    wanted |= {Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")}
    wanted |= {path.resolve() for path in wanted} | {Path(sys.executable).resolve().parents[1]}
    return sorted(str(path) for path in wanted if path.is_dir() and path != Path("/"))


class Sandbox:
    """One folder with the plan, the kernelspec and the address of the nursery. A context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = folder / "home" / secrets.token_hex(8)  # of the nursery; a kernel cannot know it
        self.nursery: subprocess.Popen | None = None

    @classmethod
    def open(
        cls,
        *,
        limits: Limits | None = None,
        hidden: Iterable[Path] = (),
        preload: Iterable[str] = PRELOAD,
        namespaces: bool = True,
        nursery: bool = True,
        cache: Path | None = None,
    ) -> "Sandbox":
        """Writes the settings and starts the nursery.

        Args:
            limits: of each kernel.
            hidden: files and folders that must be out of sight, should they lie among Python's libraries.
            preload: modules that the nursery imports; every kernel has them.
            namespaces: False: behave as on a system that has none.
            nursery: False: every kernel imports for itself.
            cache: the course's own cache, shown to kernels read-only.
        """
        # a short name: the paths of sockets may have about a hundred letters
        parent = Path("/tmp" if Path("/tmp").is_dir() else tempfile.gettempdir())
        clear_away(parent)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)).resolve()
        folder.chmod(0o711)
        (folder / "pid").write_text(str(os.getpid()))
        visible = visible_folders()
        if cache is not None and cache.is_dir():
            visible += [str(one) for one in cache.resolve().iterdir() if one.name != launcher.KEYS]
        (folder / "root").mkdir()
        (folder / "run").mkdir(mode=0o711)
        (folder / "home").mkdir(mode=0o700)
        plan = {
            "limits": asdict(limits or Limits()),
            "visible": visible,
            "hidden": [str(path.resolve()) for path in hidden],
            "preload": list(preload),
            "namespaces": namespaces,
            "debug": bool(os.environ.get("GAN_COURSE_SANDBOX_DEBUG")),  # what kernels say goes to nursery.log
            "mount_point": str(folder / "root"),
            "run": str(folder / "run"),
            "environment": kernel_environment(),
            "cache": str(cache.resolve()) if cache is not None and cache.is_dir() else None,
        }
        write_json(folder / "plan.json", plan)
        sandbox = cls(folder)
        spec = folder / "jupyter/kernels" / KERNEL
        spec.mkdir(parents=True)
        script = str(Path(launcher.__file__))
        command = [sys.executable, "-P", "-s", "-S", script, "{connection_file}"]
        variables = {launcher.PLAN: str(folder / "plan.json"), launcher.NURSERY: str(sandbox.address)}
        content = {"argv": command, "display_name": "Sandbox", "language": "python", "env": variables}
        write_json(spec / "kernel.json", content | {"metadata": {"debugger": False}})
        if nursery:
            try:
                sandbox.start_nursery(script)
            except BaseException:
                sandbox.close()
                raise
        return sandbox

    def start_nursery(self, script: str) -> None:
        self.nursery = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-s",
                script,
                "--serve",
                self.address,
                self.folder / "plan.json",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "nursery.log").open("w"),
            env=kernel_environment() | {"HOME": str(self.folder / "home")},
            start_new_session=True,  # Ctrl-C reaches it through us
        )
        # "ready", or nothing where it failed: kernels then import for themselves
        if not select.select([self.nursery.stdout], [], [], NURSERY_SECONDS)[0]:
            self.nursery.kill()

    def close(self) -> None:
        if self.nursery is not None:
            self.nursery.stdin.close()
            try:
                self.nursery.wait(5)
            except subprocess.TimeoutExpired:
                self.nursery.kill()
                self.nursery.wait()
            self.nursery.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def runner(self, cell_seconds: float = CELL_SECONDS) -> "SandboxRunner":
        return SandboxRunner(self.folder, cell_seconds)


class SandboxRunner:
    """Runs one notebook at a time in the sandbox whose folder is given.

    `cell_seconds`: time limit of a cell, after which it is interrupted and the next one runs.
    """

    def __init__(self, folder: Path, cell_seconds: float = CELL_SECONDS) -> None:
        self.folder, self.cell_seconds = Path(folder), cell_seconds

    def verify(self, notebook: Path, seconds: float) -> Outcome:
        """The cells of an assembled notebook, run by nbval, its checks compared with the outputs in it.

        Args:
            notebook: the file; checks hold the reference's values as outputs. It may be gone afterwards.
            seconds: for the whole, after which every process of it is ended.
        """
        cell_seconds = min(self.cell_seconds, seconds)
        first = setup_cells(notebook)
        outcome = self.run(lambda place: nbval_main(notebook, place / "cells", cell_seconds), seconds)
        started = [outcome.cells.get(name) for name in first]
        stopped = [one for one in started if one is None or one.status != "done"]
        if stopped:  # nothing of the student's has run: a machine too busy, or a homework that it cannot run
            outcome.status, outcome.unprepared = "broken", True
            why = (stopped[0].raised if stopped[0] else None) or outcome.ended or "no answer"
            outcome.stderr += f"\nthe set-up did not run to its end: {why}"
        return outcome

    def execute(self, notebook: Path, out: Path, seconds: float, parameters: dict | None = None) -> Outcome:
        """The whole notebook, once, by papermill: for feedback. The executed notebook is written to `out`."""
        return self.run(lambda place: papermill_main(notebook, out, parameters or {}), seconds)

    def run(self, work: Callable[[Path], int], seconds: float) -> Outcome:
        """`work` in a forked process that starts sandboxed kernels; all of it is ended after `seconds`."""
        place = Path(tempfile.mkdtemp(prefix="q", dir=self.folder / "run"))
        begin = time.monotonic()
        try:
            secret = secrets.token_hex(32)
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                self.prepare(place, reading)
                run_and_exit(work, place)
            os.close(reading)
            os.write(writing, secret.encode() + b"\n")
            os.close(writing)
            returncode = wait(child, begin + seconds)
            outcome = read_outcome(place, returncode, secret)
            outcome.seconds = time.monotonic() - begin
            return outcome
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def prepare(self, place: Path, standard_input: int) -> None:
        """In the child: nothing of the caller's that a kernel or a message could reach or use up."""
        jail.die_with_parent()
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        log = os.open(place / "log", os.O_WRONLY | os.O_CREAT, 0o600)
        for descriptor, source in enumerate((standard_input, log, log)):
            os.dup2(source, descriptor)
        # new files on them: the old ones may hold what the caller had read or not yet written
        sys.__stdin__ = sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        os.environ.clear()
        (place / "k").mkdir(mode=0o700)
        home = str(self.folder / "home")
        tempfile.tempdir = str(place / "k")  # where Jupyter puts the connection file, and so the sockets
        os.environ.update(kept)
        os.environ.update(
            {
                "HOME": home,
                "IPYTHONDIR": home,
                "JUPYTER_CONFIG_DIR": home,
                "JUPYTER_DATA_DIR": home,
                "JUPYTER_NO_CONFIG": "1",
                "JUPYTER_PATH": str(self.folder / "jupyter"),
                "JUPYTER_PREFER_ENV_PATH": "0",
                "JUPYTER_RUNTIME_DIR": str(place / "k"),
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                launcher.RECORD: str(place / "record"),
            }
        )
        limit = address_space_now() + GRADER_MEMORY
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def setup_cells(notebook: Path) -> list[str]:
    """Ids of the cells that an assembled notebook begins with, which are ours."""
    ids = [cell["id"] for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]]
    return [name for name in ids if name.startswith(SETUP)]


def run_and_exit(work: Callable[[Path], int], place: Path) -> None:
    status = 70
    try:
        gc.freeze()  # what is there stays: pytest collects five times at its end, each time over all of it
        use_files_as_sockets()
        status = work(place)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def use_files_as_sockets() -> None:
    """Kernels are spoken to through files (IPC): in a network namespace of their own nothing else arrives."""
    from jupyter_client.manager import KernelManager

    initialise = KernelManager.__init__

    def with_ipc(manager: KernelManager, *arguments: Any, **options: Any) -> None:
        connection = Path(tempfile.gettempdir()) / f"{secrets.token_hex(4)}.json"
        initialise(manager, *arguments, **{**options, "transport": "ipc", "connection_file": str(connection)})

    KernelManager.__init__ = with_ipc


def nbval_main(notebook: Path, results: Path, cell_seconds: float) -> int:
    import pytest

    os.chdir(notebook.parent)
    plugins = ["-p", "no:cacheprovider", "-p", "nbval.plugin", "-p", "gan_course.grading.nbval_plugin"]
    kernel = ["--nbval-kernel-name", KERNEL, "--nbval-cell-timeout", str(cell_seconds)]
    quiet = [
        "-q",
        "-s",
        "--tb=no",
        "--color=no",
        "--noconftest",
        "-c",
        os.devnull,
        "--rootdir",
        str(notebook.parent),
    ]
    results_to = ["--gan-course-results", str(results)]
    return int(pytest.main([*plugins, "--nbval", *kernel, *quiet, *results_to, str(notebook)]))


def papermill_main(notebook: Path, out: Path, parameters: dict) -> int:
    import papermill

    try:
        papermill.execute_notebook(
            str(notebook),
            str(out),
            parameters,
            kernel_name=KERNEL,
            progress_bar=False,
            cwd=str(notebook.parent),
        )
    except papermill.PapermillExecutionError as error:
        print(f"{error.ename}: {error.evalue}"[:500], file=sys.stderr)
        return 1
    return 0


def wait(child: int, until: float) -> int | None:
    """The child's exit status (negative: a signal), None where it had to be ended because time was up."""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.01)


def read_outcome(place: Path, returncode: int | None, secret: str) -> Outcome:
    records = settled(place / "record")
    outcome = Outcome(returncode=returncode)
    if returncode is None:
        outcome.status = "timeout"
    elif returncode < 0:
        outcome.status = "killed"
    elif returncode not in (0, 1):  # pytest's: all passed, some failed; the rest is trouble
        outcome.status = "broken"
    outcome.cells = read_results(place / "cells", secret)
    with contextlib.suppress(OSError):
        outcome.stderr = (place / "log").read_text(errors="replace")[-STDERR:]
    outcome.isolation = next((one["isolation"] for one in records if one["event"] == "start"), {})
    ends = [one for one in records if one["event"] == "end"]
    outcome.peak_memory = max((one["peak"] for one in ends), default=None)
    outcome.ended = how_it_ended(ends[-1], outcome.isolation) if ends else ""
    failed = [one["why"] for one in records if one["event"] == "failed"]
    if failed:
        outcome.status, outcome.stderr = "broken", failed[0]
    return outcome


def settled(path: Path, seconds: float = 10) -> list[dict[str, Any]]:
    """The guards' records, once each of them has finished its work of ending things."""
    until = time.monotonic() + seconds
    while True:
        records = read_lines(path)
        started = sum(one["event"] == "launch" for one in records)
        ended = sum(one["event"] in ("end", "failed") for one in records)
        if ended >= started or time.monotonic() > until:
            return records
        time.sleep(0.01)


def how_it_ended(end: dict[str, Any], isolation: dict[str, Any]) -> str:
    """In words for a student: what ended the process in which the answer ran; "" where the grader did."""
    limits = isolation.get("limits", {})
    if end["why"] == "memory":
        return f"it used more than {limits.get('memory_mib')} MiB of memory"
    if end["why"] == "processes":
        return "it started too many processes"
    ended = end["ended"] or {}
    if "status" in ended:
        return "it ended the Python process itself (os._exit, sys.exit or exit)"
    if "signal" not in ended:
        return ""
    number = ended["signal"]
    if number == signal.SIGXCPU:
        return f"it used more than {limits.get('cpu_seconds')} s of processor time"
    name = signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"
    meaning = {
        "SIGSEGV": "a segmentation fault",
        "SIGABRT": "abort",
        "SIGKILL": "killed, perhaps for its memory",
    }
    return f"the Python process crashed ({name}{': ' + meaning[name] if name in meaning else ''})"


def read_lines(path: Path) -> list[dict[str, Any]]:
    """A file of one JSON object a line; a last line that was cut off is left out."""
    found = []
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
    return found


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
