"""Starts the kernel in which a submission runs: what stands in the kernelspec of the sandbox.

Three processes, none of which ever runs a line of a student's:

- the launcher, which Jupyter starts and believes to be the kernel: it passes signals on, and when it goes,
  the kernel goes;
- the nursery, started once for a whole class: it has imported torch and what else the homework needs, and
  forks for every kernel, so that a fresh one is there in a tenth of a second instead of five. Without a
  nursery the launcher does its work;
- one guard for each kernel, forked from the nursery: it locks the kernel in (see jail.py), watches memory and
  processes, ends everything that is left behind, and writes down what was in force and how it ended.

Only the standard library, until a kernel starts.
"""

import contextlib
import importlib
import io
import json
import os
import resource
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])
if PACKAGE_PARENT not in sys.path:
    sys.path.append(PACKAGE_PARENT)

from gan_course.grading import jail  # noqa: E402
from gan_course.grading.limits import MIB, Limits, tasks_of_user  # noqa: E402

FIRST_USER = 2_000_000_000  # as root: every kernel runs as a user of its own, that owns nothing
INTERVAL = 0.1  # seconds between two looks at memory and processes
LONGEST_REQUEST = 65536
LISTS_CHILDREN = Path("/proc/thread-self/children").exists()

KEYS = "keys"  # the part of the course's cache that no kernel may see
PLAN, NURSERY, RECORD = "GAN_COURSE_PLAN", "GAN_COURSE_NURSERY", "GAN_COURSE_RECORD"


# ---- the launcher ----------------------------------------------------------------------------------------


def launch(connection_file: str) -> int:
    """Gets the kernel of `connection_file` started, stays as long as it runs. Returns the exit status."""
    jail.die_with_parent()
    request = {"connection_file": connection_file, "record": os.environ.get(RECORD, os.devnull)}
    write_record(request["record"], event="launch")
    ours, theirs = socket.socketpair()
    try:
        nursery = socket.socket(socket.AF_UNIX)
        nursery.connect(os.environ[NURSERY])
        socket.send_fds(nursery, [json.dumps(request).encode()], [theirs.fileno()])
        nursery.close()
    except (KeyError, OSError):
        start_without_nursery(request, theirs)
    theirs.close()

    def forward(number: int, frame: object) -> None:
        with contextlib.suppress(OSError):
            ours.send(bytes([number]))

    signal.signal(signal.SIGINT, forward)
    while True:
        with contextlib.suppress(InterruptedError):
            if not ours.recv(1):
                return 0


def start_without_nursery(request: dict, channel: socket.socket) -> None:
    """As the nursery does it, and slower: everything is imported first."""
    import site

    site.main()
    plan = json.loads(Path(os.environ[PLAN]).read_text())
    preload(plan["preload"])
    if os.fork() == 0:
        jail.die_with_parent()
        guard(request, plan, channel)


# ---- the nursery -----------------------------------------------------------------------------------------


def preload(names: list[str]) -> None:
    """Imports what kernels will need. What cannot be imported here can be missed where it is needed."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    with contextlib.suppress(Exception):
        sys.modules["torch"].set_num_threads(1)


def serve(address: str, plan_file: str) -> None:
    """Forks a guard for every request that arrives at `address`; ends when its standard input does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    jail.die_with_parent()
    plan = json.loads(Path(plan_file).read_text())
    preload(plan["preload"])
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.write(1, b"ready\n")
    waiting = select.poll()
    waiting.register(server, select.POLLIN)
    waiting.register(0, select.POLLIN | select.POLLHUP)
    while True:
        events = dict(waiting.poll(1000))
        reap()
        if 0 in events:
            return
        if server.fileno() not in events:
            continue
        client, _ = server.accept()
        with client:
            try:
                client.settimeout(5)
                message, descriptors, _, _ = socket.recv_fds(client, LONGEST_REQUEST, 1)
                request = json.loads(message)
                channel = socket.socket(fileno=descriptors[0])
            except (OSError, ValueError, IndexError):
                continue
        with channel:
            if os.fork() == 0:
                server.close()
                jail.die_with_parent()
                guard(request, plan, channel)


def reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


# ---- the guard -------------------------------------------------------------------------------------------


def guard(request: dict, plan: dict, channel: socket.socket) -> None:
    """Runs one kernel from its start to the end of the last process that it left. Never returns."""
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        jail.adopt_orphans()
        Guard(request, plan, channel).run()
        status = 0
    except BaseException as error:
        write_record(request["record"], event="failed", why=f"{type(error).__name__}: {error}")
    finally:
        os._exit(status)


def write_record(path: str, **content: object) -> None:
    with contextlib.suppress(OSError), Path(path).open("a") as file:
        file.write(json.dumps(content) + "\n")


class Guard:
    """Watches one kernel. `channel`: from the launcher; bytes are signals to pass on, its end is the end."""

    def __init__(self, request: dict, plan: dict, channel: socket.socket) -> None:
        self.connection = Path(request["connection_file"])
        self.record = request["record"]
        self.plan = plan
        self.channel = channel
        if Path(plan["run"]) not in self.connection.parents:
            raise ValueError(
                f"connection file {self.connection} is not in the sandbox's folder {plan['run']}"
            )
        self.limits = Limits(**plan["limits"])
        self.user = FIRST_USER + os.getpid() if jail.may_change_user() else None
        self.resident_at_start = resident(os.getpid())
        self.peak = 0

    def run(self) -> None:
        user = os.getuid() if self.user is None else self.user
        scratch = Path(tempfile.mkdtemp(prefix="s", dir=self.plan["run"]))
        for folder in (scratch, self.connection.parent):
            os.chown(folder, user, user if self.user is not None else -1)
            folder.chmod(0o700)
        if self.connection.exists():
            os.chown(self.connection, user, -1)
        reading, writing = os.pipe()
        first = os.fork()
        if first == 0:
            os.close(reading)
            self.channel.close()
            lock_in(self.connection, self.plan, self.limits, self.user, scratch, writing)
        os.close(writing)
        why, told = "stopped", b""
        try:
            why, told = self.watch(first, reading)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(first, signal.SIGKILL)
            end_descendants()
            shutil.rmtree(scratch, ignore_errors=True)
            if why != "ended":
                told += drain(reading)
            ends = [json.loads(line) for line in told.splitlines() if line.startswith(b'{"ended"')]
            ended = ends[-1]["ended"] if ends and why == "ended" else None
            write_record(self.record, event="end", why=why, ended=ended, peak=self.peak)

    def watch(self, first: int, reading: int) -> tuple[str, bytes]:
        """Until the kernel ends or has to be ended: why ("ended", "stopped", "memory", "processes")."""
        told, isolation_known = b"", False
        allowed = self.limits.memory_mib * MIB * 1.25
        waiting = select.poll()
        for descriptor in (reading, self.channel.fileno()):
            waiting.register(descriptor, select.POLLIN | select.POLLHUP)
        while True:
            for descriptor, _ in waiting.poll(INTERVAL * 1000):
                if descriptor == reading:
                    piece = os.read(reading, LONGEST_REQUEST)
                    told += piece
                    if not isolation_known and b"\n" in told:
                        isolation_known = True
                        write_record(self.record, event="start", isolation=json.loads(told.split(b"\n")[0]))
                    if not piece or b'{"ended"' in told:
                        return "ended", told
                else:
                    number = self.channel.recv(1)
                    if not number:
                        return "stopped", told
                    signal_kernel(first, number[0])
            tasks, memory = 0, 0
            for process in descendants(os.getpid()):
                tasks += tasks_of(process)
                memory += max(resident(process) - self.resident_at_start, 0)
            self.peak = max(self.peak, memory)
            if memory > allowed:
                return "memory", told
            if tasks > 4 * self.limits.processes + 64:
                return "processes", told


def drain(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError):
        return os.read(descriptor, LONGEST_REQUEST)
    return b""


def signal_kernel(first: int, number: int) -> None:
    """To the kernel proper: `first` forked the first process of the namespace, and that one the kernel."""
    process = first
    for _ in range(2):
        below = children(process) if LISTS_CHILDREN else descendants(process)
        if not below:
            return
        process = below[0]
    with contextlib.suppress(OSError):
        os.kill(process, number)


def end_descendants() -> None:
    """SIGKILL to all that this process has started, and to what that has left behind; until none is left."""
    for _ in range(200):
        found = descendants(os.getpid())
        reap()
        if not found:
            return
        for process in found:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.01)


def children(process: int) -> list[int]:
    """Process numbers of the children of all threads, in rising order; where the kernel lists them."""
    found: list[int] = []
    for listed in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, listed.read_text().split())
    return sorted(found)


def parents() -> dict[int, int]:
    """Every process of the machine and its parent, where the system has a /proc."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def descendants(process: int) -> list[int]:
    """All processes below `process`, at any depth."""
    below: list[int] = []
    if LISTS_CHILDREN:  # much cheaper than to look at every process of the machine
        waiting = [process]
        while waiting:
            found = children(waiting.pop())
            below += found
            waiting += found
        return below
    found = parents()
    level = {process}
    while level:
        level = {child for child, parent in found.items() if parent in level}
        below += level
    return below


def resident(process: int) -> int:
    """Bytes of memory in use."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def tasks_of(process: int) -> int:
    try:
        text = Path(f"/proc/{process}/stat").read_text()
        return int(text.rpartition(")")[2].split()[17])
    except (OSError, IndexError):
        return 0


# ---- inside ----------------------------------------------------------------------------------------------


def lock_in(
    connection: Path, plan: dict, limits: Limits, user: int | None, scratch: Path, telling: int
) -> None:
    """In a child of the guard: into the namespaces, then the namespace's first process, then the kernel."""
    try:
        jail.die_with_parent()
        os.setsid()
        isolation = {"namespaces": []}
        if plan["namespaces"]:
            isolation = jail.unshare(user)
            jail.die_with_parent()  # a change of user forgets it
        first = os.fork()
        if first:
            os.close(telling)
            os._exit(wait_for(first))
        jail.die_with_parent()
        isolated = bool(isolation["namespaces"])
        own_user = user is not None
        if "user" in isolation["namespaces"]:
            user = None  # it is that user already, and inside goes by another number
        inside_user = jail.INSIDE_USER if "user" in isolation["namespaces"] else user or os.getuid()
        if isolated:
            try:
                jail.build_root(plan, connection.parent, inside_user)
                isolation["root"] = "read-only, Python and the system's libraries only"
                scratch = Path("/tmp/scratch")
            except OSError as error:
                isolation["namespaces"] = [name for name in isolation["namespaces"] if name != "mount"]
                isolation["root"] = f"the machine's: {error}"
                isolated = False
        else:
            isolation["root"] = "the machine's"
        if not isolated and user is not None and not all(map(open_to_others, plan["visible"])):
            for path in (scratch, connection.parent, connection):  # another user could not read Python
                os.chown(path, os.getuid(), os.getgid())
            user, own_user = None, False
        isolation["user"] = "one of its own" if own_user else "the grader's"
        isolation["limits"] = vars(limits) | {}
        os.write(telling, json.dumps(isolation, sort_keys=True).encode() + b"\n")
        ours, theirs = socket.socketpair()
        kernel = os.fork()
        if kernel == 0:
            ours.close()
            start_kernel(connection, limits, user, scratch, plan, theirs)
        theirs.close()
        if ours.recv(1) and isolated:  # its sockets are there: it needs to write nothing more in that folder
            jail.make_read_only(connection.parent)
        with contextlib.suppress(OSError):
            ours.send(b"!")
        ours.close()
        report_end(kernel, telling)
    except BaseException as error:
        with contextlib.suppress(OSError):
            write_all(telling, {"ended": {"failed": f"{type(error).__name__}: {error}"}})
    finally:
        os._exit(1)


def open_to_others(path: str) -> bool:
    """Whether any user may go to that folder and read there."""
    with contextlib.suppress(OSError):
        return all(one.stat().st_mode & 0o001 for one in (Path(path), *Path(path).parents))
    return False


def wait_for(child: int) -> int:
    """The exit status of a child; signals included, as a shell tells them."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if status >= 0 else 128 - status


def report_end(kernel: int, telling: int) -> None:
    """The namespace's first process: buries the dead until the kernel is among them; tells how it died."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        process, status = os.waitpid(-1, 0)
        if process == kernel:
            code = os.waitstatus_to_exitcode(status)
            write_all(telling, {"ended": {"signal": -code} if code < 0 else {"status": code}})
            os._exit(0)


def write_all(descriptor: int, content: dict) -> None:
    os.write(descriptor, json.dumps(content).encode() + b"\n")


def start_kernel(
    connection: Path, limits: Limits, user: int | None, scratch: Path, plan: dict, first: socket.socket
) -> None:
    """In the last child: gives everything up, then runs ipykernel. Never returns."""
    status = 1
    try:
        jail.die_with_parent()
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1) if plan["debug"] else (0, 1, 2):
            os.dup2(nothing, descriptor)
        os.dup2(first.fileno(), 3)
        first.detach()
        os.closerange(4, 4096)
        first = socket.socket(fileno=3)
        places = {"HOME": scratch, "TMPDIR": scratch, "GAN_COURSE_CACHE": scratch / "cache"}
        environment = plan["environment"] | {name: str(place) for name, place in places.items()}
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(scratch)
        os.umask(0o077)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        limits.apply(tasks_of_user(os.getuid()) if user is None else 0)
        jail.become(user)
        jail.die_with_parent()  # a change of user forgets it
        link_cache(plan.get("cache"), scratch)
        run_ipykernel(str(connection), first)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def link_cache(cache: str | None, scratch: Path) -> None:
    """What the course has already rendered: readable from where the kernel may write."""
    if cache is None or not Path(cache).is_dir():
        return
    for path in sorted(Path(cache).rglob("*"))[:1000]:
        if path.is_file() and KEYS not in path.relative_to(cache).parts:
            link = scratch / "cache" / path.relative_to(cache)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)


def run_ipykernel(connection_file: str, first: socket.socket) -> None:
    """A kernel that publishes what is displayed, and limits what is printed."""
    import random

    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    from ipykernel.kernelapp import IPKernelApp

    from gan_course.grading import quiet

    sys.path.append("")  # modules that an answer writes itself; last, so that they stand for no other
    sys.argv = ["kernel", "-f", connection_file]
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))
    application = IPKernelApp.instance()
    quiet.install(application)
    application.initialize(
        ["-f", connection_file, "--HistoryManager.enabled=False", "--InteractiveShell.xmode=Plain"]
    )
    first.send(b"!")  # the sockets are there
    first.recv(1)  # and the folder they lie in is closed
    first.close()
    application.start()


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(sys.argv[2], sys.argv[3])
    else:
        sys.exit(launch(sys.argv[1]))
