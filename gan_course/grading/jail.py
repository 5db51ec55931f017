"""Namespaces, a root folder that holds next to nothing, and no privileges: where a kernel is locked in.

Linux only, and each part only where the system allows it; what is in force is written down and ends up in
the report. What a kernel sees is a list of what it needs (Python, its libraries, the system's), never the
whole machine with holes in it: keys, tokens and other submissions are out of sight because nobody put them
there. Only the standard library.
"""

import contextlib
import ctypes
import os
import platform
import stat
from pathlib import Path

NEW_MOUNT, NEW_UTS, NEW_IPC = 0x00020000, 0x04000000, 0x08000000
NEW_USER, NEW_PID, NEW_NET = 0x10000000, 0x20000000, 0x40000000
NAMES = {NEW_MOUNT: "mount", NEW_PID: "pid", NEW_NET: "network", NEW_IPC: "ipc", NEW_UTS: "uts"}

READ_ONLY, NO_SUID, NO_DEV, NO_EXEC, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
DETACH = 2
SET_DEATH_SIGNAL, SET_SUBREAPER, SET_NO_NEW_PRIVILEGES, DROP_FROM_BOUNDING_SET = 1, 36, 38, 24
SET_DUMPABLE = 4
CHOWN, SET_GROUP, SET_USER = 0, 6, 7  # capabilities
SYS_MOUNT_SETATTR, AT_RECURSIVE = 442, 0x8000  # the number is the same on every architecture

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SETTINGS = (
    "alternatives",
    "fonts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "timezone",
)
DEVICES = ("null", "zero", "full", "random", "urandom")
INSIDE_USER = 1000

_libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments) -> int:
    """A function of the C library; raises OSError where it says -1, or where there is no such function."""
    function = getattr(_libc, name, None)
    if function is None:
        raise OSError(f"this system has no {name}")
    converted = [a.encode() if isinstance(a, str) else a for a in arguments]
    converted = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in converted]
    result = function(*converted)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def on_linux() -> bool:
    return platform.system() == "Linux"


def die_with_parent(parent: int | None = None) -> None:
    """SIGKILL for this process when the thread that started it ends. `parent`: whoever that should be."""
    if not on_linux():
        return
    with contextlib.suppress(OSError):
        call("prctl", SET_DEATH_SIGNAL, 9, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(1)  # it was gone before


def adopt_orphans() -> None:
    """Descendants that lose their parent become children of this process, so that it can end them."""
    if on_linux():
        with contextlib.suppress(OSError):
            call("prctl", SET_SUBREAPER, 1, 0, 0, 0)


# ---- namespaces ------------------------------------------------------------------------------------------


def unshare(outside_user: int | None) -> dict:
    """Leaves the machine's namespaces for own ones, all or none; children live in the new process namespace.

    `outside_user`: as which user the kernel will run, for root; None: as who we are, in a user namespace.
    Returns what is in force: {"namespaces": [...], "why_not": "..."}.
    """
    if not on_linux():
        return {"namespaces": [], "why_not": f"{platform.system()} has no namespaces"}
    flags = sum(NAMES)
    if outside_user is not None:
        try:
            call("unshare", flags)
            return {"namespaces": sorted(NAMES.values())}
        except OSError:  # root without its powers, as in a container: as any user then
            change_user(outside_user)
            call("prctl", SET_DUMPABLE, 1, 0, 0, 0)  # else /proc/self/uid_map is still root's
    uid, gid = os.geteuid(), os.getegid()
    try:
        call("unshare", flags | NEW_USER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{INSIDE_USER} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{INSIDE_USER} {gid} 1")
    except OSError as error:
        return {"namespaces": [], "why_not": str(error)}
    return {"namespaces": sorted([*NAMES.values(), "user"])}


def mount(source: str, target: Path | str, kind: str | None, flags: int, data: str | None = None) -> None:
    call("mount", source, str(target), kind, flags, data)


def make_read_only(target: Path | str) -> None:
    """The mount at `target` and all below it: no writing, no devices, no set-user-id programs."""

    class Attributes(ctypes.Structure):
        _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user")]

    attributes = Attributes(READ_ONLY | NO_SUID | NO_DEV, 0, 0, 0)
    try:
        call("syscall", SYS_MOUNT_SETATTR, -100, str(target), AT_RECURSIVE, ctypes.byref(attributes), 32)
    except OSError:  # a kernel before 5.12: the topmost mount only
        kept = os.statvfs(target).f_flag & 0xF  # in a user namespace no flag may be taken away
        mount("none", target, None, REMOUNT | BIND | READ_ONLY | NO_SUID | NO_DEV | kept)


def show(root: Path, path: Path, *, writable: bool = False) -> None:
    """Makes the machine's `path` visible below the new `root`, at the same place."""
    target = root / path.relative_to("/")
    if path.is_symlink() and path.parent == Path("/"):
        if not target.is_symlink():
            target.symlink_to(path.readlink())
        return
    if not path.exists():
        return
    if path.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    mount(str(path), target, None, BIND | RECURSIVE)
    if not writable:
        make_read_only(target)


def build_root(plan: dict, connection: Path, user: int) -> None:
    """Replaces the root folder by one that holds only what `plan` lists, all of it read-only.

    Writable are /tmp (with the scratch folder, the home) and /dev/shm, both in memory and limited, and the
    folder `connection` with the sockets to the kernel. Call it in the new process namespace.
    """
    mount("none", "/", None, RECURSIVE | PRIVATE)
    root = Path(plan["mount_point"])
    # big enough for folders and empty files only
    mount("none", root, "tmpfs", NO_SUID | NO_DEV, "size=1m,mode=755")
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text(f"student:x:{user}:{user}::/tmp/scratch:/bin/sh\n")
    (root / "etc/group").write_text(f"student:x:{user}:\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")

    (root / "dev").mkdir()
    for name in DEVICES:
        device = root / "dev" / name
        device.touch()
        mount(f"/dev/{name}", device, None, BIND)
    for name, where in {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}.items():
        (root / "dev" / name).symlink_to(f"/proc/self/fd{where}")
    (root / "dev/pts").mkdir()
    with contextlib.suppress(OSError):  # terminals of its own: IPython's "!ls" asks for one
        mount("devpts", root / "dev/pts", "devpts", NO_SUID | NO_EXEC, "newinstance,ptmxmode=666,mode=620")
        (root / "dev/ptmx").symlink_to("pts/ptmx")
    size = plan["limits"]["scratch_mib"]
    for name in ("dev/shm", "tmp"):
        (root / name).mkdir(exist_ok=True)
        mount("none", root / name, "tmpfs", NO_SUID | NO_DEV, f"size={size}m,mode=1777")
    (root / "tmp/scratch").mkdir()
    os.chown(root / "tmp/scratch", user, user)
    for path in [*map(Path, SYSTEM), *(Path("/etc") / name for name in SETTINGS)]:
        show(root, path)
    shown = sorted({Path(path) for path in plan["visible"]}, key=lambda path: len(path.parts))
    for number, path in enumerate(shown):
        if not any(path.is_relative_to(other) for other in [*map(Path, SYSTEM), *shown[:number]]):
            show(root, path)

    with contextlib.suppress(FileExistsError):
        (root / "proc").mkdir()
    with contextlib.suppress(OSError):  # inside some containers nobody may; then there is none
        mount("proc", root / "proc", "proc", NO_SUID | NO_DEV | NO_EXEC)
    show(root, connection, writable=True)
    for path in map(Path, plan["hidden"]):
        hide(root, path)

    os.chdir(root)
    call("pivot_root", ".", ".")
    call("umount2", ".", DETACH)
    os.chdir("/")
    mount("none", "/", None, REMOUNT | READ_ONLY | NO_SUID | NO_DEV, "size=1m,mode=755")


def hide(root: Path, path: Path) -> None:
    """Covers `path`, should it lie inside something that is visible."""
    target = root / path.relative_to("/")
    try:
        mode = target.lstat().st_mode
    except OSError:
        return
    if target == root or root.joinpath("tmp") == target:
        return
    if stat.S_ISDIR(mode):
        mount("none", target, "tmpfs", READ_ONLY | NO_SUID | NO_DEV, "size=4k,mode=000")
    else:
        mount("/dev/null", target, None, BIND)


# ---- privileges ------------------------------------------------------------------------------------------


def may_change_user() -> bool:
    """Whether this process is root with the powers that it takes."""
    if os.geteuid() != 0 or not on_linux():
        return False
    with contextlib.suppress(OSError, IndexError, ValueError):
        powers = int(Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0], 16)
        return all(powers >> power & 1 for power in (CHOWN, SET_GROUP, SET_USER))
    return False


def change_user(user: int) -> None:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def become(user: int | None) -> None:
    """Another user for good (root only), and no way to gain a privilege by any program that is started."""
    if user is not None and os.getuid() != user:
        change_user(user)
    if not on_linux():
        return
    with contextlib.suppress(OSError):
        call("prctl", SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    with contextlib.suppress(OSError):
        for capability in range(64):
            call("prctl", DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)
    with contextlib.suppress(OSError):
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
        call("capset", header, (ctypes.c_uint32 * 6)())
