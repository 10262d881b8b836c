"""The system-call filter: what the student's process may ask of the kernel.

The filter is an allow-list in classic BPF, run by the kernel before every system call of the process; nothing can take
it off again. A call that is not listed fails with ENOSYS, as on a kernel without it, so libraries take their fallback
and a system call invented tomorrow is refused today. The wrong instruction set (`int 0x80`, x32) kills the process.

What it keeps away from student code:

* processes: no fork, no exec. Threads are needed (TensorFlow, BLAS), so `clone` may make a thread that shares
  everything with its siblings and nothing else. `clone3` hides its flags behind a pointer, where a filter cannot look:
  it must be ENOSYS, then the C library falls back to `clone`.
* other programs: no sockets, signals, tracing, keys, locks (flock and fcntl locks are visible through shared inodes),
  leases, System V IPC, message queues, namespaces, mounts, io_uring (it does system calls behind the filter).
* memory that no limit counts: no memfd, no shared anonymous mapping, no locked or huge pages. (A shared mapping of
  /dev/zero is the same thing by another road; RLIMIT_AS counts both.)
* priorities, timers, limits: none can be changed.

Executable memory stays allowed: oneDNN, XLA and libffi compile at run time.

`build_filter(machine, namespaces=False)` is for a child without a PID and a mount namespace of its own. There `tgkill`
is refused unless the child's own process id is given, so no signal can leave it; and the calls that Landlock cannot
judge by path are refused: changes of mode and of time stamps, and `truncate` by name. `kill`, `tkill` and the queueing
and pidfd variants are missing in both.

On x86_64 new kernels let two calls past every filter, uretprobe and uprobe (335, 336): only the kernel's own trampoline
can use them, anyone else gets an error or SIGILL.

Shape of the program: check the instruction set, then search the call's number in a binary tree whose leaves are
verdicts. Jumps in classic BPF reach 255 instructions, so each rule on arguments is a leaf that ends in its own
verdict. Rules look at numbers only, never behind a pointer: memory could change between the look and the use. The
kernel works out beforehand which calls are allowed whatever their arguments, and does not run the program for those.

This module is sent as source text to a bare interpreter, so it imports the standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Mapping
from itertools import groupby

# fmt: off
_X86_64 = {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8,
    "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14,
    "rt_sigreturn": 15, "ioctl": 16, "pread64": 17, "pwrite64": 18, "readv": 19, "writev": 20, "access": 21,
    "pipe": 22, "select": 23, "sched_yield": 24, "mremap": 25, "msync": 26, "madvise": 28, "dup": 32, "dup2": 33,
    "nanosleep": 35, "getpid": 39, "clone": 56, "fork": 57, "vfork": 58, "exit": 60, "uname": 63, "fcntl": 72,
    "fsync": 74, "fdatasync": 75, "truncate": 76, "ftruncate": 77, "getcwd": 79, "chdir": 80, "fchdir": 81,
    "rename": 82, "mkdir": 83, "rmdir": 84, "unlink": 87, "readlink": 89, "chmod": 90, "fchmod": 91, "umask": 95,
    "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "sysinfo": 99, "times": 100, "getuid": 102,
    "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110, "getgroups": 115, "getresuid": 118,
    "getresgid": 120, "sigaltstack": 131, "statfs": 137, "fstatfs": 138, "sched_getparam": 143,
    "sched_getscheduler": 145, "sched_get_priority_max": 146, "sched_get_priority_min": 147, "prctl": 157,
    "gettid": 186, "time": 201, "futex": 202, "sched_getaffinity": 204, "epoll_create": 213, "getdents64": 217,
    "set_tid_address": 218, "restart_syscall": 219, "fadvise64": 221, "clock_gettime": 228, "clock_getres": 229,
    "clock_nanosleep": 230, "exit_group": 231, "epoll_wait": 232, "epoll_ctl": 233, "tgkill": 234, "openat": 257,
    "mkdirat": 258, "newfstatat": 262, "unlinkat": 263, "renameat": 264, "readlinkat": 267, "fchmodat": 268,
    "faccessat": 269, "pselect6": 270, "ppoll": 271, "set_robust_list": 273, "utimensat": 280, "epoll_pwait": 281,
    "eventfd": 284, "fallocate": 285, "eventfd2": 290, "epoll_create1": 291, "dup3": 292, "pipe2": 293,
    "preadv": 295, "pwritev": 296, "prlimit64": 302, "getcpu": 309, "renameat2": 316, "getrandom": 318,
    "membarrier": 324, "statx": 332, "rseq": 334, "faccessat2": 439, "epoll_pwait2": 441,
}

_AARCH64 = {
    "getcwd": 17, "eventfd2": 19, "epoll_create1": 20, "epoll_ctl": 21, "epoll_pwait": 22, "dup": 23, "dup3": 24,
    "fcntl": 25, "ioctl": 29, "mkdirat": 34, "unlinkat": 35, "renameat": 38, "statfs": 43, "fstatfs": 44,
    "truncate": 45, "ftruncate": 46, "fallocate": 47, "faccessat": 48, "chdir": 49, "fchdir": 50, "fchmod": 52,
    "fchmodat": 53, "openat": 56, "close": 57, "pipe2": 59, "getdents64": 61, "lseek": 62, "read": 63,
    "write": 64, "readv": 65, "writev": 66, "pread64": 67, "pwrite64": 68, "preadv": 69, "pwritev": 70,
    "pselect6": 72, "ppoll": 73, "readlinkat": 78, "newfstatat": 79, "fstat": 80, "fsync": 82, "fdatasync": 83,
    "utimensat": 88, "exit": 93, "exit_group": 94, "set_tid_address": 96, "futex": 98, "set_robust_list": 99,
    "nanosleep": 101, "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115,
    "sched_getscheduler": 120, "sched_getparam": 121, "sched_getaffinity": 123, "sched_yield": 124,
    "sched_get_priority_max": 125, "sched_get_priority_min": 126, "restart_syscall": 128, "tgkill": 131,
    "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "getresuid": 148,
    "getresgid": 150, "times": 153, "getgroups": 158, "uname": 160, "getrlimit": 163, "getrusage": 165,
    "umask": 166, "prctl": 167, "getcpu": 168, "gettimeofday": 169, "getpid": 172, "getppid": 173, "getuid": 174,
    "geteuid": 175, "getgid": 176, "getegid": 177, "gettid": 178, "sysinfo": 179, "brk": 214, "munmap": 215,
    "mremap": 216, "clone": 220, "mmap": 222, "fadvise64": 223, "mprotect": 226, "msync": 227, "madvise": 233,
    "prlimit64": 261, "renameat2": 276, "getrandom": 278, "membarrier": 283, "statx": 291, "rseq": 293,
    "faccessat2": 439, "epoll_pwait2": 441,
}
# fmt: on

NUMBERS: Mapping[str, Mapping[str, int]] = {"x86_64": _X86_64, "aarch64": _AARCH64}
SUPPORTED = frozenset(NUMBERS)

# The kernel's names for the two instruction sets (AUDIT_ARCH_*): ELF machine, 64 bit, little endian.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

# Refused with EPERM instead of ENOSYS, so that every way of making a process gives the same PermissionError.
_REFUSED = frozenset({"fork", "vfork"})
# Refused as well where there is no mount namespace and Landlock cannot judge them.
_REFUSED_WITHOUT_NAMESPACES = frozenset({"chmod", "fchmod", "fchmodat", "utimensat", "truncate"})

# seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6].
_NR = 0
_ARCH = 4
_ARGS = 16

# Classic BPF: u16 code; u8 jump if true; u8 jump if false; u32 k. Jumps count from the next instruction.
_LOAD = 0x20
_AND = 0x54
_JUMP = 0x05
_JUMP_EQUAL = 0x15
_JUMP_AT_LEAST = 0x35
_JUMP_ANY_BIT = 0x45
_RETURN = 0x06
_SIZE = 8
_FARTHEST = 255

_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
_ALLOW = 0x7FFF0000

_ALL_BITS = 0xFFFFFFFF

# clone: what a thread library asks for, and the part of it without which a thread would be more than a thread (its own
# memory, signal handlers, working directory or a second table of 64 descriptors). The low byte, where clone3 would see
# CLONE_NEWTIME and clone sees an exit signal, must be zero.
_CLONE_THREAD = 0x00010F00  # VM FS FILES SIGHAND THREAD
_CLONE_ALSO = 0x007C0000  # SYSVSEM SETTLS PARENT_SETTID CHILD_CLEARTID, and the ignored DETACHED

_MAP_SHARED_ANONYMOUS = 0x21  # both bits; MAP_SHARED_VALIDATE has the shared bit too
_MAP_LOCKED_OR_HUGE = 0x2000 | 0x40000

_FCNTL = (0, 1, 2, 3, 4, 1030)  # DUPFD GETFD SETFD GETFL SETFL DUPFD_CLOEXEC
_IOCTL = (0x5401, 0x541B, 0x5451, 0x5450)  # TCGETS FIONREAD FIOCLEX FIONCLEX
_PRCTL = (15, 16, 3, 41, 42, 0x53564D41)  # SET_NAME GET_NAME GET_DUMPABLE SET_THP_DISABLE GET_THP_DISABLE SET_VMA
# NORMAL RANDOM SEQUENTIAL WILLNEED DONTNEED FREE DONTFORK DOFORK HUGEPAGE NOHUGEPAGE DONTDUMP DODUMP WIPEONFORK
# KEEPONFORK POPULATE_READ POPULATE_WRITE GUARD_INSTALL GUARD_REMOVE
_MADVISE = (4, 0, 1, 2, 3, 8, 10, 11, 14, 15, 16, 17, 18, 19, 22, 23, 102, 103)
# WAIT WAKE REQUEUE CMP_REQUEUE WAKE_OP WAIT_BITSET WAKE_BITSET: no priority inheritance, which nobody here uses.
_FUTEX = (9, 10, 0, 1, 3, 4, 5)
_FUTEX_OPERATION = 0x7F  # without PRIVATE and CLOCK_REALTIME

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2


class _Program(ctypes.Structure):
    """The kernel's struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.POINTER(_Program), ctypes.c_ulong, ctypes.c_ulong)


def allowed(machine: str, *, namespaces: bool = True) -> Mapping[str, int]:
    """Name and number of every call that can succeed, for all or for some arguments. ValueError as `build_filter`."""
    refused = _REFUSED if namespaces else _REFUSED | _REFUSED_WITHOUT_NAMESPACES
    return {name: number for name, number in _numbers(machine).items() if name not in refused}


def build_filter(machine: str, *, namespaces: bool = True, tgid: int | None = None) -> bytes:
    """The filter for `machine` (as `os.uname` says it), ready for `install_filter`.

    `tgid` is the only process `tgkill` may name, so that abort and pthread_kill work. In a PID namespace of its own the
    child is process 1; without one (`namespaces=False`) and without `tgid`, `tgkill` is refused.

    Raises ValueError for a machine that is not in SUPPORTED.
    """
    if tgid is None and namespaces:
        tgid = 1
    numbers = _numbers(machine)
    leaves = {number: _verdict(name, tgid) for name, number in allowed(machine, namespaces=namespaces).items()}
    leaves |= {number: _refuse(errno.EPERM) for number in numbers.values() if number not in leaves}
    return _prologue(machine) + _search(_runs(leaves))


def install_filter(program: bytes) -> None:
    """Bind the calling thread, and every thread it starts, to `program` for good.

    The process must have one thread and PR_SET_NO_NEW_PRIVS set. Raises OSError when the kernel refuses.
    """
    argument = _Program(len(program) // _SIZE, program)
    if _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(argument), 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl(PR_SET_SECCOMP): {os.strerror(code)}")


def _numbers(machine: str) -> Mapping[str, int]:
    if machine not in NUMBERS:
        raise ValueError(f"no system-call table for {machine!r}; known: {', '.join(sorted(SUPPORTED))}")
    return NUMBERS[machine]


def _verdict(name: str, tgid: int | None) -> bytes:
    """The leaf for a call that may succeed: a program that ends in a verdict whatever the arguments."""
    match name:
        case "clone":
            unknown = _ALL_BITS & ~(_CLONE_THREAD | _CLONE_ALSO)
            return _all(errno.EPERM, (_low(0), unknown, 0), (_low(0), _CLONE_THREAD, _CLONE_THREAD))
        case "mmap":
            return (
                _op(_LOAD, _low(3))
                + _op(_JUMP_ANY_BIT, _MAP_LOCKED_OR_HUGE, 0, 1)
                + _refuse(errno.EPERM)
                + _op(_AND, _MAP_SHARED_ANONYMOUS)
                + _op(_JUMP_EQUAL, _MAP_SHARED_ANONYMOUS, 0, 1)
                + _refuse(errno.ENOMEM)
                + _op(_RETURN, _ALLOW)
            )
        case "futex":
            return _one_of(errno.ENOSYS, _low(1), _FUTEX, mask=_FUTEX_OPERATION)
        case "madvise":
            return _one_of(errno.EINVAL, _low(2), _MADVISE)
        case "fcntl":
            return _one_of(errno.EPERM, _low(1), _FCNTL)
        case "ioctl":
            return _one_of(errno.ENOTTY, _low(1), _IOCTL)
        case "prctl":
            return _one_of(errno.EPERM, _low(0), _PRCTL)
        case "prlimit64":  # read one's own limits: pid 0 and no new value, a 64-bit pointer
            return _all(errno.EPERM, (_low(0), _ALL_BITS, 0), (_low(2), _ALL_BITS, 0), (_high(2), _ALL_BITS, 0))
        case "tgkill":
            return _refuse(errno.EPERM) if tgid is None else _all(errno.EPERM, (_low(0), _ALL_BITS, tgid))
    return _op(_RETURN, _ALLOW)


def _prologue(machine: str) -> bytes:
    """Kill a call made in another instruction set; else leave the call's number in the accumulator."""
    program = _op(_LOAD, _ARCH) + _op(_JUMP_EQUAL, _ARCHITECTURES[machine], 1, 0) + _op(_RETURN, _KILL_PROCESS)
    program += _op(_LOAD, _NR)
    if machine == "x86_64":
        program += _op(_JUMP_ANY_BIT, _X32_BIT, 0, 1) + _op(_RETURN, _KILL_PROCESS)
    return program


def _runs(leaves: Mapping[int, bytes]) -> list[tuple[int, bytes]]:
    """All numbers from 0 up, cut into runs of one verdict: (first number, verdict). The last run has no end."""
    unknown = _refuse(errno.ENOSYS)
    verdicts = [(number, leaves.get(number, unknown)) for number in range(max(leaves) + 2)]
    return [next(run) for _, run in groupby(verdicts, key=lambda pair: pair[1])]


def _search(runs: list[tuple[int, bytes]]) -> bytes:
    """A binary tree over the runs; expects the call's number in the accumulator."""
    if len(runs) == 1:
        return runs[0][1]
    middle = len(runs) // 2
    first = runs[middle][0]
    below, above = _search(runs[:middle]), _search(runs[middle:])
    distance = len(below) // _SIZE
    if distance <= _FARTHEST:
        return _op(_JUMP_AT_LEAST, first, distance, 0) + below + above
    return _op(_JUMP_AT_LEAST, first, 0, 1) + _op(_JUMP, distance) + below + above


def _all(refusal: int, *checks: tuple[int, int, int]) -> bytes:
    """Allow when `word & mask == value` holds for every check (offset of the word, mask, value)."""
    size = 3 * len(checks)
    program = b""
    for position, (word, mask, value) in enumerate(checks):
        program += _op(_LOAD, word) + _op(_AND, mask) + _op(_JUMP_EQUAL, value, 0, size - 3 * position - 2)
    return program + _op(_RETURN, _ALLOW) + _refuse(refusal)


def _one_of(refusal: int, word: int, values: tuple[int, ...], mask: int = _ALL_BITS) -> bytes:
    """Allow when `word & mask` is one of the values."""
    program = _op(_LOAD, word) + _op(_AND, mask)
    for position, value in enumerate(values):
        program += _op(_JUMP_EQUAL, value, len(values) - position, 0)
    return program + _refuse(refusal) + _op(_RETURN, _ALLOW)


def _refuse(code: int) -> bytes:
    return _op(_RETURN, _ERRNO | code)


def _op(code: int, k: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, k)


def _low(argument: int) -> int:
    """Offset of the lower half of an argument; of an `int` argument the kernel looks at nothing else."""
    return _ARGS + 8 * argument


def _high(argument: int) -> int:
    return _low(argument) + 4
