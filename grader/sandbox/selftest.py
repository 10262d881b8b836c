"""The self-test: a program that tries what must fail, and limits that must hold, in real children.

Run at start and by `grader doctor`. Each probe is either refused inside the child (the answer says how) or ends the
child in the expected way; both are compared out here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from grader.errors import SandboxError
from grader.sandbox.child import CallError, Child, ChildEnded, Reason
from grader.sandbox.limits import CheckLimits, Mode
from grader.sandbox.pool import Sandbox

# Runs in the child. Every function returns "refused: ..." or says what it managed to do.
PROBES = """
import ctypes, os, socket, sys, threading
import numpy as np

def attempt(action):
    try:
        result = action()
    except (OSError, RuntimeError, ImportError, MemoryError, ValueError) as error:
        return f"refused: {type(error).__name__}: {error}"[:200]
    return f"possible: {result!r}"[:200]

def read_passwd(): return attempt(lambda: open("/etc/passwd").read(20))
def read_environ(): return attempt(lambda: open("/proc/self/environ", "rb").read(20))
def write_packages(): return attempt(lambda: open(np.__file__, "a"))
def open_socket(): return attempt(lambda: socket.socket(socket.AF_INET))
def fork(): return attempt(os.fork)
def execute(): return attempt(lambda: os.execv("/python/bin/python3", ["python3"]))
def kill_parent(): return attempt(lambda: os.kill(os.getppid(), 9))
def kill_all(): return attempt(lambda: os.kill(-1, 9))
def unshare():
    libc = ctypes.CDLL(None, use_errno=True)
    def action():
        if libc.unshare(0x10000000) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return attempt(action)
def mount():
    libc = ctypes.CDLL(None, use_errno=True)
    def action():
        if libc.mount(b"x", b"/tmp", b"tmpfs", 0, None) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return attempt(action)
def ptrace():
    libc = ctypes.CDLL(None, use_errno=True)
    def action():
        if libc.ptrace(0, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return attempt(action)
def import_grader():
    return attempt(lambda: __import__("grader"))
def other_descriptors():
    open_ones = []
    for fd in range(5, 1024):
        try:
            os.fstat(fd)
            open_ones.append(fd)
        except OSError:
            pass
    return f"possible: {open_ones}" if open_ones else "refused: no descriptor above 4"
def environment():
    extra = [name for name in os.environ if name.startswith(("GRADER", "PG", "AWS", "SECRET"))]
    return f"possible: {extra}" if extra else "refused: nothing of the grader's"
def memory(): return attempt(lambda: np.ones(1 << 38, dtype=np.uint8)[:1])
def threads():
    stop = threading.Event()
    try:
        for count in range(200):
            threading.Thread(target=stop.wait, daemon=True).start()
    except RuntimeError as error:
        return f"refused: {error} after {count}"
    finally:
        stop.set()
    return "possible: 200 threads"

def double(x): return 2 * x
def spin():
    while True: pass
def flood():
    while True: print("x" * 1000)
def leave(): os._exit(0)
"""

REFUSED = (
    "read_passwd",
    "read_environ",
    "write_packages",
    "open_socket",
    "fork",
    "execute",
    "kill_parent",
    "kill_all",
    "unshare",
    "mount",
    "ptrace",
    "import_grader",
    "other_descriptors",
    "environment",
    "memory",
    "threads",
)
_LIMITS = CheckLimits(cpu_s=1.0, wall_s=5.0, memory_mib=512, output_kib=256)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One probe: whether the sandbox held, and what was seen."""

    name: str
    held: bool
    evidence: str


def self_test(sandbox: Sandbox, runtime: str = "numpy") -> Iterator[Finding]:
    """Runs every probe in children of `runtime`. Raises SandboxError when not even an honest call works."""
    child = _loaded(sandbox, runtime)
    try:
        value = _call(child, "double", 21)
        yield Finding(name="honest call", held=value == 42, evidence=f"double(21) = {value}")
        for name in REFUSED:
            if name == "threads" and sandbox.mode in (Mode.C, Mode.D):
                continue  # counted per user there, not per child
            said = str(_call(child, name))
            yield Finding(name=name, held=said.startswith("refused"), evidence=said)
    except (CallError, ChildEnded) as error:
        raise SandboxError(f"the self-test could not finish: {error}") from error
    finally:
        child.close()
    for name, expected in (
        ("spin", (Reason.CPU, Reason.WALL)),  # on a busy machine the clock may come first
        ("flood", (Reason.OUTPUT,)),
        ("leave", (Reason.EXITED,)),
    ):
        yield _ends(sandbox, runtime, name, expected)


def _ends(sandbox: Sandbox, runtime: str, name: str, expected: tuple[Reason, ...]) -> Finding:
    child = _loaded(sandbox, runtime)
    try:
        value = _call(child, name)
    except ChildEnded as error:
        return Finding(name=name, held=error.reason in expected, evidence=f"ended: {error}")
    except CallError as error:
        return Finding(name=name, held=False, evidence=str(error))
    finally:
        child.close()
    return Finding(name=name, held=False, evidence=f"returned {value!r}")


def _loaded(sandbox: Sandbox, runtime: str) -> Child:
    child = sandbox.take(runtime)
    child.begin(_LIMITS)
    child.ask("load", source=PROBES, file="main", modules={}, watch=[], ops=[], seed=0)
    child.begin(_LIMITS)
    return child


def _call(child: Child, name: str, *args: object) -> object:
    child.send([["call", 1, None, name, list(args), {}]])
    return child.receive()[0][0]
