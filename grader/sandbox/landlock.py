"""Landlock: which files the student's process may reach, enforced by the kernel on top of the mount namespace.

Landlock starts from "nothing" and adds grants: everything the kernel's version (ABI) can handle is handled, so what no
rule grants is refused, `/` included. Where no namespace can be had it is the only barrier in front of the files.

Three properties shape its use:

* `restrict_self` binds the calling thread and the threads and processes it starts later, never those that already run.
  It must come before the first thread.
* It checks the opening of a file, not its use: descriptors that are already open keep all their rights.
* It knows nothing of stat, chdir, chmod, chown and utime, nor of sockets other than TCP, abstract unix and (since ABI
  9) named unix. Namespaces and the system-call filter must cover those.

This module is sent as source text to a bare interpreter, so it imports the standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Sequence

NEWEST_ABI = 9  # later kernels accept what this version handles

_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_READ_FILE = 1 << 2
_READ_DIR = 1 << 3
_REMOVE_DIR = 1 << 4
_REMOVE_FILE = 1 << 5
_MAKE_DIR = 1 << 7
_MAKE_REG = 1 << 8
_TRUNCATE = 1 << 14
_IOCTL_DEV = 1 << 15

# The number of rights about files that each ABI knows: they are numbered from bit 0 without gaps.
_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16, 6: 16, 7: 16, 8: 16, 9: 17}
_NET_TCP = 0b11  # bind, connect: ABI 4
_SCOPES = 0b11  # abstract unix sockets, signals: ABI 6

_READ_ONLY = _EXECUTE | _READ_FILE | _READ_DIR
# No devices, sockets, pipes or symbolic links are made, and no file moves to another directory (REFER): that is EXDEV.
_READ_WRITE = _READ_ONLY | _WRITE_FILE | _TRUNCATE | _MAKE_REG | _MAKE_DIR | _REMOVE_FILE | _REMOVE_DIR
_ON_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

# The same numbers on every machine.
_CREATE_RULESET = 444
_ADD_RULE = 445
_RESTRICT_SELF = 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def abi_version() -> int:
    """The kernel's Landlock version; 0 when it has none, has it switched off or a filter around us hides it.

    Raises OSError when the kernel answers anything else.
    """
    version: int = _libc.syscall(
        ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(_CREATE_RULESET_VERSION)
    )
    if version >= 0:
        return version
    if ctypes.get_errno() in {errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}:
        return 0
    raise _error("landlock_create_ruleset (version)")


def make_ruleset(abi: int, *, read_only: Sequence[str | int], read_write: Sequence[str | int]) -> int:
    """Build a ruleset and return its descriptor (close-on-exec), for `restrict_self`; the caller closes it.

    A grant is a path or an open (O_PATH) descriptor; it covers everything beneath a directory. `abi` is what
    `abi_version` said. Raises ValueError for an ABI below 1, OSError naming the path or the step that failed.
    """
    if abi < 1:
        raise ValueError(f"Landlock ABI {abi} does not exist")
    abi = min(abi, NEWEST_ABI)
    handled = (1 << _FS_RIGHTS[abi]) - 1
    attributes = struct.pack("=Q", handled)
    if abi >= 4:
        attributes += struct.pack("=Q", _NET_TCP)
    if abi >= 6:
        attributes += struct.pack("=Q", _SCOPES)
    ruleset: int = _libc.syscall(
        ctypes.c_long(_CREATE_RULESET), attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)
    )
    if ruleset < 0:
        raise _error("landlock_create_ruleset")
    try:
        for grants, rights in ((read_only, _READ_ONLY), (read_write, _READ_WRITE)):
            for grant in grants:
                _allow(ruleset, grant, rights & handled)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def restrict_self(ruleset_fd: int) -> None:
    """Confine the calling thread, and all it starts, for good. Needs PR_SET_NO_NEW_PRIVS or CAP_SYS_ADMIN.

    Rulesets add up: a second one can only take away. Raises OSError.
    """
    if _libc.syscall(ctypes.c_long(_RESTRICT_SELF), ctypes.c_int(ruleset_fd), ctypes.c_uint32(0)) != 0:
        raise _error("landlock_restrict_self")


def _allow(ruleset: int, grant: str | int, rights: int) -> None:
    fd = os.open(grant, os.O_PATH | os.O_CLOEXEC) if isinstance(grant, str) else grant
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _ON_A_FILE
        rule = struct.pack("=Qi", rights, fd)
        arguments = (ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), rule, ctypes.c_uint32(0))
        if _libc.syscall(ctypes.c_long(_ADD_RULE), *arguments) != 0:
            raise _error(f"landlock_add_rule ({grant})")
    finally:
        if isinstance(grant, str):
            os.close(fd)


def _error(step: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{step}: {os.strerror(code)}")
