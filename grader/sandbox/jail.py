"""Building the jail: the zygote's root and namespaces, and the lock-down of each child.

Two moments, both in a process of the runner's interpreter that holds nothing but this code:

1. `enter` (once, in the launcher): namespaces, a tmpfs root with single read-only binds of the runner,
   pivot_root; then the launcher executes the interpreter anew *inside* that root, as the zygote.
2. `lock_down` (in every forked child, before any student byte arrives): its own user, mount, ipc, uts and
   net namespaces (its pid namespace was made at the fork), private /tmp, Landlock, rlimits, no capabilities,
   not dumpable, no_new_privs, and the system call filter last.

Started as root, the launcher builds the root as root (an interpreter below a home directory can only be bound
by someone who may enter it) and then gives up root for the runner's uid before it makes the user namespace.

Standard library only: this text runs in a bare interpreter. Every failure is an OSError whose `filename` is the
step that failed.
"""

from __future__ import annotations

import ctypes
import os
import resource
import stat
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 32, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 4, 24, 38, 47

# Where things are inside the jail; no path of the machine outside shows.
PYTHON, PACKAGES, HOME = "/python", "/packages", "/tmp/home"
DIGITS = "/data/mnist.npz"
DEVICES = ("null", "zero", "full", "urandom")
JOB_READ, JOB_WRITE = 3, 4  # the only descriptors of a child besides 0, 1 and 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
)
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


def _must(step: str, result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), step)
    return result


def unshare(flags: int, step: str) -> None:
    _must(step, _libc.unshare(ctypes.c_int(flags)))


def setns(fd: int, kind: int) -> None:
    _must("setns", _libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)))


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode())
    _must(f"mount {target}", result)


def _bind(source: str, target: str, flags: int = 0) -> None:
    """A read-only bind: the flags of a bind only take effect on a second, remounting call.

    Flags that the source mount carries are locked inside a user namespace and must be repeated.
    """
    _mount(source, target, "", _MS_BIND)
    inherited = os.statvfs(target).f_flag & (_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    relatime = os.statvfs(target).f_flag & (1024 | 2048 | 4096)
    atime = {1024: 1024, 2048: 2048, 4096: 1 << 21}
    keep = inherited | sum(flag for bit, flag in atime.items() if relatime & bit)
    _mount("", target, "", _MS_BIND | _MS_REMOUNT | _MS_RDONLY | flags | keep)


def write_id_maps(proc: int, inside: int, uid: int, gid: int) -> None:
    """Maps the single id `inside` of a fresh user namespace to uid and gid of the one around it."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{inside} {uid} 1"), ("gid_map", f"{inside} {gid} 1")):
        fd = os.open(f"self/{name}", os.O_WRONLY, dir_fd=proc)
        try:
            os.write(fd, text.encode())
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"write {name}") from None
        finally:
            os.close(fd)


# ---------------------------------------------------------------------------------------------------------------
# The launcher: from the machine into the zygote's root.


def runner_binds() -> dict[str, str]:
    """Paths of this interpreter (the runner's own) as {path in the jail: path on the machine}."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    binds = {
        f"{PYTHON}/bin/{version}": os.path.realpath(sys.executable),
        f"{PYTHON}/lib/{version}": sysconfig.get_path("stdlib"),
        PACKAGES: sysconfig.get_path("purelib"),
    }
    shared = sysconfig.get_config_var("INSTSONAME")
    folder = sysconfig.get_config_var("LIBDIR")
    if shared and shared.endswith((".so", ".0")) and folder and os.path.exists(os.path.join(folder, shared)):
        binds[f"{PYTHON}/lib/{shared}"] = os.path.join(folder, shared)
    triplet = sysconfig.get_config_var("MULTIARCH") or ""
    for folder in (f"/usr/lib/{triplet}" if triplet else "", "/usr/lib64"):
        if folder and os.path.isdir(folder):
            binds[folder] = os.path.realpath(folder)
    for folder in ("/lib", "/lib64"):  # symbolic links on merged-usr systems, see build_root
        if os.path.isdir(folder) and not os.path.islink(folder):
            inner = os.path.join(folder, triplet) if folder == "/lib" and triplet else folder
            if os.path.isdir(inner):
                binds[inner] = inner
    return binds


def build_root(
    root: str, binds: Mapping[str, str], files: Mapping[str, bytes], exe: str, absent: Sequence[str] = ()
) -> None:
    """A tmpfs at `root` that holds read-only binds, four devices, static files and nothing else.

    files: {path: content}. absent: installed packages to be hidden.
    exe: what /proc/self/exe points to, because TensorFlow aborts without that link; a name
    without "python" in it, or TensorFlow also wants /proc/self/cmdline.
    """
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    # A source may lie below `root`, which the tmpfs is about to cover: hold each by descriptor first.
    sources = {target: os.open(source, os.O_PATH) for target, source in binds.items()}
    size = (1 << 20) + sum(len(data) + 4096 for data in files.values())
    _mount("root", root, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={size},nr_inodes=256,mode=755")
    for folder in ("/dev", "/tmp", "/proc/self", "/old"):
        os.makedirs(root + folder)
    # The zygote's imports want a place for temporary files; each child covers it with its own.
    _mount("tmp", f"{root}/tmp", "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "size=1m,nr_inodes=64,mode=1777")
    for name in ("/lib", "/lib64"):
        if os.path.islink(name):
            os.symlink(os.readlink(name).lstrip("/"), root + name)
    for target, fd in sources.items():
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.makedirs(root + target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(root + target), exist_ok=True)
            os.close(os.open(root + target, os.O_CREAT | os.O_WRONLY, 0o555))
        _bind(f"/proc/self/fd/{fd}", root + target, _MS_NOSUID | _MS_NODEV)
        os.close(fd)
        # What else is installed beside the standard library is nobody's business.
        beside = ("site-packages", "dist-packages", "test") if target.startswith(PYTHON) else ()
        for name in absent if target == PACKAGES else beside:
            if os.path.isdir(hidden := f"{root}{target}/{name}"):
                _mount("hidden", hidden, "tmpfs", _MS_RDONLY | _MS_NOSUID | _MS_NODEV, "size=4k,mode=555")
    for name in DEVICES:
        os.close(os.open(f"{root}/dev/{name}", os.O_CREAT | os.O_WRONLY, 0o444))
        _mount(f"/dev/{name}", f"{root}/dev/{name}", "", _MS_BIND)
    for path, data in files.items():
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        with open(root + path, "wb") as file:
            file.write(data)
    os.symlink(exe, f"{root}/proc/self/exe")


def pivot(root: str) -> None:
    """Makes `root` the only tree there is, and read-only."""
    os.chdir(root)
    _must("pivot_root", _libc.pivot_root(b".", b"old"))
    os.chdir("/")
    _must("umount /old", _libc.umount2(b"/old", _MNT_DETACH))
    os.rmdir("/old")
    _mount("", "/", "", _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


def static_files() -> dict[str, bytes]:
    """What a library asks of /proc and cannot do without: torch reads the CPU's features from cpuinfo."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        first_cpu = file.read(65536).split("\n\n", 1)[0]
    return {"/proc/cpuinfo": f"{first_cpu[:4000]}\n\n".encode()}


def enter(proc: int, runner_uid: int, digits: bytes = b"", absent: Sequence[str] = ()) -> str:
    """Moves this process into a fresh root and fresh namespaces; returns the interpreter's path in there.

    The next fork is process 1 of the new pid namespace. proc: an open descriptor of /proc. digits: what DIGITS holds.
    absent: see build_root.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    every = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
    as_root = os.geteuid() == 0
    uid, gid = (runner_uid, runner_uid) if as_root else (os.geteuid(), os.getegid())
    binds, files = runner_binds(), {**static_files(), **({DIGITS: digits} if digits else {})}
    if as_root:
        unshare(CLONE_NEWNS, "unshare mount namespace")
    else:
        unshare(every, "unshare user namespace")
        write_id_maps(proc, 0, uid, gid)
    build_root("/tmp", binds, files, exe="/proc/cpuinfo", absent=absent)
    pivot("/tmp")
    if as_root:
        give_up_root(uid)
        # Giving up root makes a process undumpable, and then its own id maps belong to root.
        _must("prctl dumpable", _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))
        unshare(every, "unshare user namespace")
        write_id_maps(proc, 0, uid, gid)
    return f"{PYTHON}/bin/{version}"


def give_up_root(uid: int) -> None:
    """From root to an ordinary user and group without any other group, for good."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def die_with_parent() -> None:
    _must("prctl pdeathsig", _libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0))


# ---------------------------------------------------------------------------------------------------------------
# The child: from a copy of the zygote to a process that can compute and nothing else.


def settle_descriptors(job_read: int, job_write: int, out: int, proc: int) -> int:
    """Leaves only 0 (nothing), 1 and 2 (the output pipe), 3 and 4 (the job) and 5 (/proc, closed in lock_down)."""
    high = [os.dup2(fd, 900 + at, inheritable=False) for at, fd in enumerate((job_read, job_write, out, proc))]
    null = os.open("/dev/null", os.O_RDONLY)
    for source, target in zip((null, high[2], high[2], high[0], high[1], high[3]), range(6), strict=True):
        os.dup2(source, target, inheritable=False)
    os.closerange(6, 1024)
    _libc.close_range(ctypes.c_uint(6), ctypes.c_uint(2**32 - 1), ctypes.c_uint(0))
    return 5


def set_limits(address_space: int, cpu_s: int, process_limit: bool) -> None:
    """rlimits of one child. Soft equals hard: process 1 of a pid namespace ignores SIGXCPU.

    address_space: bytes, the size at the fork plus the budget. cpu_s: 0 for no limit. Threads count per user namespace
    since Linux 5.14.
    """
    limits = {
        resource.RLIMIT_AS: address_space,
        resource.RLIMIT_DATA: address_space,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_FSIZE: 16 << 20,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_STACK: 8 << 20,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_SIGPENDING: 64,
        resource.RLIMIT_RTPRIO: 0,
        resource.RLIMIT_NICE: 0,
    }
    if process_limit:
        limits[resource.RLIMIT_NPROC] = 32
    if not cpu_s:
        del limits[resource.RLIMIT_CPU]
    for which, value in limits.items():
        _, hard = resource.getrlimit(which)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def drop_privileges() -> None:
    """No capability in any set, never again any by exec, and nobody may read this process's memory."""
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    _libc.prctl(_PR_CAP_AMBIENT, 4, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _must("capset", _libc.capset(ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)())))
    _must("prctl dumpable", _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
    _must("prctl no_new_privs", _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def lock_down(
    *,
    mode: str,
    proc: int,
    address_space: int,
    cpu_s: int,
    process_limit: bool,
    restrict_files: Callable[[Sequence[str], Sequence[str]], None] | None,
    install_filter: Callable[[], None] | None,
    readable: Sequence[str],
) -> None:
    """Locks this process for good, in the order that each step needs; mode "D" only sets limits.

    restrict_files(read_only, read_write) applies Landlock, install_filter the system call filter. In mode C `proc`
    and what TensorFlow reads of its own process stay as they are outside.
    """
    temporary = "/tmp"
    if mode in "AB":
        kinds = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET
        unshare(kinds, "unshare namespaces of the child")
        write_id_maps(proc, 1000, 0, 0)
        flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
        _mount("tmp", "/tmp", "tmpfs", flags, "size=16m,nr_inodes=1024,mode=700")
        os.mkdir(HOME)
        _place_digits(temporary)
        _must("sethostname", _libc.sethostname(b"grader", 6))
    _write_oom_score(proc)
    writable: list[str] = [temporary] if mode in "AB" else []
    if restrict_files is not None:
        restrict_files(readable, writable)
    set_limits(address_space, cpu_s, process_limit and mode in "AB")
    os.close(proc)
    if mode != "D":
        drop_privileges()
    if mode in "AB":
        os.chdir(temporary)
    if install_filter is not None:
        install_filter()


def _place_digits(folder: str) -> None:
    """The digits where notebooks look for them: in the working folder, and where Keras keeps its downloads."""
    if os.path.exists(DIGITS):
        os.symlink(DIGITS, f"{folder}/mnist.npz")
        os.makedirs(f"{HOME}/.keras/datasets")
        os.symlink(DIGITS, f"{HOME}/.keras/datasets/mnist.npz")


def _write_oom_score(proc: int) -> None:
    """Short of memory, the kernel should take a child and nothing else."""
    fd = os.open("self/oom_score_adj", os.O_WRONLY, dir_fd=proc)
    try:
        os.write(fd, b"1000")
    finally:
        os.close(fd)


def environment(mode: str, runtime: str, binds: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a zygote; nothing of the grader's own is in it."""
    inside = mode in "AB"
    packages = PACKAGES if inside else binds[PACKAGES]
    home = HOME if inside else "/nonexistent"
    one = dict.fromkeys(
        (
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "NUMEXPR_NUM_THREADS",
            "TF_NUM_INTRAOP_THREADS",
            "TF_NUM_INTEROP_THREADS",
        ),
        "1",
    )
    environment: dict[str, Any] = {
        **one,
        # Training makes and drops arrays of megabytes: given back to the kernel each time, every one of them is cleared
        # and mapped anew (500 epochs of a small net take 0.5 s of CPU so, and up to 1.6 s otherwise).
        "GLIBC_TUNABLES": "glibc.malloc.trim_threshold=268435456:glibc.malloc.mmap_threshold=33554432",
        "PYTHONPATH": packages,
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",
        "PYTHONUTF8": "1",
        "HOME": home,
        "MPLCONFIGDIR": home,
        "MPLBACKEND": "Agg",
        "KMP_INIT_AT_FORK": "FALSE",
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "MALLOC_ARENA_MAX": "2",
        "LC_ALL": "C.UTF-8",
    }
    if runtime == "tensorflow":
        environment["KERAS_BACKEND"] = "tensorflow"
    if mode == "C":  # torch insists on a folder that is there, and nothing can be made
        environment["TORCHINDUCTOR_CACHE_DIR"] = packages
    if inside:
        environment["LD_LIBRARY_PATH"] = f"{PYTHON}/lib"
        environment["PYTHONHOME"] = PYTHON
    return environment


def allow_landlock() -> None:
    """Landlock asks for no_new_privs first."""
    _must("prctl no_new_privs", _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
