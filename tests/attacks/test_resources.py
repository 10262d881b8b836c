"""Section A: programs that try to use more than their share, one child each."""

from __future__ import annotations

import resource
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from grader.sandbox.child import CallError, ChildEnded, Reason
from grader.sandbox.limits import CheckLimits

from .arena import QUICK, SHORT, Arena

pytestmark = pytest.mark.sandbox

CPU, WALL, MEMORY, OUTPUT = map(str, (Reason.CPU, Reason.WALL, Reason.MEMORY, Reason.OUTPUT))
SIGNAL, EXITED, PROTOCOL = map(str, (Reason.SIGNAL, Reason.EXITED, Reason.PROTOCOL))
MEMORY_ENDS = (MEMORY, "MemoryError", SIGNAL)

ENDLESS = {
    "A1 loop": ("def attack():\n    while True: pass", (CPU, WALL)),
    "A2 sleep": ("def attack(): time.sleep(1e9)", (WALL, "OverflowError")),
    "A2 event": ("import threading\ndef attack(): threading.Event().wait()", (WALL,)),
    "A2 select": ("import select\ndef attack(): select.select([], [], [])", (WALL,)),
    "A2 lock": ("import threading\ndef attack():\n    a = threading.Lock(); a.acquire(); a.acquire()", (WALL,)),
    "A2 reads its question pipe": ("def attack(): os.read(3, 1)", (WALL,)),
    "A3 ignores signals": (
        "import signal\n"
        "def attack():\n"
        "    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:\n"
        "        signal.signal(number, signal.SIG_IGN)\n"
        "    while True: pass",
        (CPU, WALL),
    ),
    "A6 sixteen busy threads": (
        "import threading\n"
        "def burn():\n"
        "    a = np.ones((300, 300))\n"
        "    while True: a @ a\n"
        "def attack():\n"
        "    try:\n"
        "        for _ in range(16): threading.Thread(target=burn, daemon=True).start()\n"
        "    except RuntimeError: pass\n"
        "    time.sleep(60)",
        (CPU, WALL, EXITED, *MEMORY_ENDS),  # 16 stacks may be more than its memory  # or no memory for their stacks
    ),
    "A6 BLAS told to use 64 threads": (
        "def attack():\n"
        "    import glob\n"
        "    for path in glob.glob('/packages/numpy.libs/*openblas*'):\n"
        "        lib = ctypes.CDLL(path)\n"
        "        for name in ('scipy_openblas_set_num_threads64_', 'openblas_set_num_threads'):\n"
        "            if hasattr(lib, name): getattr(lib, name)(64)\n"
        "    a = np.ones((1500, 1500))\n"
        "    while True: a @ a",
        (CPU, WALL, SIGNAL, EXITED, "MemoryError"),
    ),
    "A17 a byte now and then": (
        "def attack():\n    while True:\n        os.write(1, b'x'); time.sleep(0.02)",
        (WALL,),
    ),
    "A17 a byte now and then on the answer pipe": (
        "def attack():\n"
        "    fd, question, _ = forge()\n"
        "    import struct\n"
        "    for byte in struct.pack('<IBBHII', 0x31445247, 17, 0, 0, question, 1 << 20) + bytes(1 << 20):\n"
        "        os.write(fd, bytes([byte])); time.sleep(0.02)",
        (WALL,),
    ),
    "A20 recursion without a limit": (
        "def f(n): return f(n + 1)\ndef attack():\n    sys.setrecursionlimit(10**9); return f(0)",
        (CPU, WALL, *MEMORY_ENDS),
    ),
    "A23 regular expression": (
        "import re\ndef attack(): return bool(re.match('(a+)+$', 'a' * 60 + 'b'))",
        (CPU, WALL),
    ),
    "A23 hash collisions": (
        "class K:\n"
        "    def __hash__(self): return 1\n"
        "    def __eq__(self, other): return False\n"
        "def attack(): return len({K() for _ in range(10**6)})",
        (CPU, WALL),
    ),
    "A31 reads the libraries for ever": (
        "def attack():\n"
        "    while True:\n"
        "        for folder, _, names in os.walk('/packages'):\n"
        "            for name in names:\n"
        "                with open(os.path.join(folder, name), 'rb') as file: file.read()",
        (CPU, WALL, MEMORY, "MemoryError"),
    ),
    "B10 stops itself": (
        "import signal\n"
        "def attack():\n"
        "    system_call(234, 1, libc.syscall(186), int(signal.SIGSTOP))\n"
        "    time.sleep(60)",
        (WALL, "PermissionError", "OSError"),
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_endless_programs_end_in_time(arena: Arena, name: str) -> None:
    source, allowed = ENDLESS[name]
    with arena.beside():
        result = arena.run(source)
    assert result.how in allowed, result
    limit = SHORT.cpu_s if result.how == CPU else SHORT.wall_s
    assert result.seconds < limit + 1.0, result


GREEDY = {
    "A7 list": "def attack():\n    x = []\n    while True: x.append(bytearray(10**7))",
    "A7 bigger and bigger string": "def attack():\n    s = 'x'\n    while True: s += s",
    "A8 ones": "def attack(): return float(np.ones((10**6, 10**6))[0, 0])",
    "A8 lazy zeros": (
        "def attack():\n    keep = []\n    while True:\n        keep.append(np.zeros(1 << 24)); keep[-1][:] = 1"
    ),
    "A9 private mapping": (
        "import mmap\n"
        "def attack():\n"
        "    keep = []\n"
        "    while True:\n"
        "        m = mmap.mmap(-1, 1 << 26, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        "        m.write(b'x' * (1 << 26)); keep.append(m)"
    ),
    "A18 ten gigabytes returned": "def attack(): return np.zeros(10 * 2**30, dtype=np.uint8)",
    "A18 a long array returned": "def attack(): return np.zeros(64 << 20, dtype=np.uint8)",
    "A18 a list of 10**8": "def attack(): return [0] * 10**8",
    "A30 exactly the limit, touched at random": (
        "def attack():\n"
        "    a = np.ones(230 << 20, dtype=np.uint8)\n"
        "    rng = np.random.default_rng(0)\n"
        "    b = []\n"
        "    while True:\n"
        "        a[rng.integers(0, a.size, 10**5)] += 1; b.append(np.ones(1 << 20))"
    ),
    "A33 decompression": (
        "import zlib\n"
        "def attack():\n"
        "    block = zlib.compress(bytes(1 << 26), 9)\n"
        "    keep = []\n"
        "    while True: keep.append(zlib.decompress(block) + b'x')"
    ),
}


@pytest.mark.parametrize("name", GREEDY)
def test_memory_is_bounded(arena: Arena, name: str) -> None:
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with arena.beside():
        result = arena.run(GREEDY[name], QUICK)
    refused = result.how == "OSError" and "Cannot allocate memory" in result.detail  # how mmap says that it is all used
    assert refused or result.how in (*MEMORY_ENDS, "Refused", CPU, WALL), result
    assert result.seconds < QUICK.wall_s + 1.0, result
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - rss < 64 << 10  # I5: the grader itself did not grow


FLOODS = {
    "A16 print": ("def attack():\n    while True: print('x' * 1000)", (OUTPUT,)),
    "A16 write": ("def attack():\n    while True: os.write(1, b'x' * 4096)", (OUTPUT,)),
    "A16 stderr": ("def attack():\n    while True: os.write(2, b'x' * 4096)", (OUTPUT,)),
    "A16 the answer pipe": ("def attack():\n    while True: os.write(4, b'x' * 4096)", (PROTOCOL,)),
    "A16 every descriptor": (
        "def attack():\n"
        "    while True:\n"
        "        for fd in range(256):\n"
        "            try: os.write(fd, b'x' * 4096)\n"
        "            except OSError: pass",
        (OUTPUT, PROTOCOL),
    ),
    "A18 a header of four gigabytes": (
        "import struct\n"
        "def attack():\n"
        "    fd, question, _ = forge()\n"
        "    os.write(fd, struct.pack('<IBBHII', 0x31445247, 17, 0, 0, question, 2**32 - 1)); time.sleep(60)",
        (PROTOCOL,),
    ),
}


@pytest.mark.parametrize("name", FLOODS)
def test_output_is_bounded(arena: Arena, name: str) -> None:
    source, allowed = FLOODS[name]
    with arena.beside(), arena.program(source, SHORT) as child:
        started = time.monotonic()
        with pytest.raises((ChildEnded, CallError)) as caught:
            arena.call(child, "attack")
        error = caught.value
        said = error.type if isinstance(error, CallError) else str(getattr(error, "reason", ""))
        assert said in allowed, error
        assert time.monotonic() - started < 15
        assert len(child.output) <= 64 << 10
        assert child.output_bytes <= (SHORT.output_kib << 10) + (1 << 16)


REFUSALS = """
import signal, mmap, threading, multiprocessing, subprocess, resource, struct, fcntl

def a4_fork(): return attempt(os.fork)
def a4_forkpty(): return attempt(os.forkpty)
def a4_multiprocessing():
    def start(): multiprocessing.get_context("fork").Process(target=print).start()
    return attempt(start)
def a4_spawn(): return attempt(lambda: multiprocessing.get_context("spawn").Process(target=print).start())
def a4_subprocess(): return attempt(lambda: subprocess.run(["/python/bin/python3.11", "-c", ""]))
def a4_posix_spawn(): return attempt(lambda: os.posix_spawn("/bin/true", ["true"], {}))
def a4_system():
    status = os.system("true")
    return f"possible: {status}" if status == 0 else f"refused: {status}"
def a4_popen(): return attempt(lambda: os.popen("true").read())
def a5_threads():
    stop = threading.Event()
    try:
        for count in range(10000): threading.Thread(target=stop.wait, daemon=True).start()
    except RuntimeError as error:
        return f"refused: {error} after {count}" if count < 64 else f"possible: {count}"
    finally:
        stop.set()
    return "possible: 10000"
def a9_shared_anonymous(): return attempt(lambda: mmap.mmap(-1, 8 << 30))
def a9_shared_anonymous_small(): return attempt(lambda: mmap.mmap(-1, 1 << 20))
def a9_shared_zero():
    def action():
        fd = os.open("/dev/zero", os.O_RDWR)
        keep = []
        for _ in range(200):
            m = mmap.mmap(fd, 1 << 26); m.write(bytes(1 << 26)); keep.append(m)
    return attempt(action)
def a10_memfd(): return attempt(lambda: os.memfd_create("x"))
def a11_shmget(): return attempt(lambda: system_call(29, 1, 1 << 20, 0o1600))
def a11_msgget(): return attempt(lambda: system_call(68, 1, 0o1600))
def a11_semget(): return attempt(lambda: system_call(64, 1, 1, 0o1600))
def a11_shared_memory():
    from multiprocessing import shared_memory
    return attempt(lambda: shared_memory.SharedMemory("x", create=True, size=1 << 20))
def a11_posix_shm(): return attempt(lambda: open("/dev/shm/x", "w"))
def a11_mq_open(): return attempt(lambda: system_call(240, ctypes.c_char_p(b"x"), 0o102, 0o600, 0))
def a12_fill():
    def action():
        with open("/tmp/fill", "wb") as file:
            for _ in range(64): file.write(bytes(1 << 20)); file.flush()
    said = attempt(action)
    return said
def a12_many_files():
    def action():
        for n in range(64):
            with open(f"/tmp/fill{n}", "wb") as file: file.write(bytes(8 << 20))
    said = attempt(action)
    for name in os.listdir("/tmp"):
        if name.startswith("fill"): os.unlink("/tmp/" + name)
    return said
def a12_sparse():
    def action():
        with open("/tmp/sparse", "wb") as file: file.truncate(1 << 50)
    return attempt(action)
def a12_fallocate(): return attempt(lambda: os.posix_fallocate(os.open("/tmp/f", os.O_CREAT | os.O_RDWR), 0, 1 << 40))
def a13_inodes():
    def action():
        for n in range(10**6): os.close(os.open(f"/tmp/i{n}", os.O_CREAT | os.O_WRONLY))
    said = attempt(action)
    for name in os.listdir("/tmp"):
        if name.startswith("i"): os.unlink("/tmp/" + name)
    return said
def a13_symlink(): return attempt(lambda: os.symlink("/tmp/loop", "/tmp/loop"))
def a13_hard_link():
    open("/tmp/one", "w").close()
    return attempt(lambda: os.link("/tmp/one", "/tmp/two"))
def a14_descriptors():
    keep = []
    def action():
        for _ in range(1000): keep.append(os.open("/dev/null", os.O_RDONLY))
    said = attempt(action)
    for fd in keep: os.close(fd)
    return said if len(keep) < 64 else f"possible: {len(keep)}"
def a15_pipe_size():
    r, w = os.pipe()
    try: return attempt(lambda: fcntl.fcntl(w, 1031, 1 << 20))
    finally: os.close(r); os.close(w)
def a24_setitimer(): return attempt(lambda: signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001))
def a24_alarm():
    ctypes.set_errno(0)
    libc.alarm(1)
    return "refused: " + errno.errorcode[ctypes.get_errno()] if ctypes.get_errno() else "possible"
def a24_timer_create(): return attempt(lambda: system_call(222, 0, 0, ctypes.byref(ctypes.c_int())))
def a24_timerfd(): return attempt(lambda: system_call(283, 0, 0))
def a25_mlockall(): return attempt(lambda: system_call(151, 3))
def a25_mlock(): return attempt(lambda: system_call(149, id(0), 4096))
def a25_locked(): return attempt(lambda: mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x2000))
def a25_huge(): return attempt(lambda: mmap.mmap(-1, 1 << 21, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000))
def a26_nice(): return attempt(lambda: os.nice(-20))
def a26_setpriority(): return attempt(lambda: os.setpriority(os.PRIO_PROCESS, 0, -20))
def a26_fifo(): return attempt(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
def a26_affinity(): return attempt(lambda: os.sched_setaffinity(0, {0}))
def a26_rlimit(): return attempt(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32)))
def a26_raise_rlimit(): return attempt(lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)))
def a26_prlimit(): return attempt(lambda: resource.prlimit(1, resource.RLIMIT_CPU, (100, 100)))
def a27_setsid(): return attempt(os.setsid)
def a29_core(): return attempt(lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30)))
def a13_deep():
    def action():
        for n in range(10**5): os.mkdir("d"); os.chdir("d")
    said = attempt(action)
    os.chdir("/tmp")
    return said
"""
_REFUSAL_NAMES = [line[4 : line.index("(")] for line in REFUSALS.splitlines() if line.startswith("def a")]


def test_what_is_refused_fails_with_an_error(arena: Arena) -> None:
    """A4-A29: the call fails, the process lives and answers the next question; there is never a second process."""
    limits = CheckLimits(cpu_s=8.0, wall_s=20.0, memory_mib=512, output_kib=256)
    with arena.program(REFUSALS, limits) as child:
        said = {name: str(arena.call(child, name)) for name in _REFUSAL_NAMES}
        processes = len(arena.sandbox.zygote("numpy")._exits)
    assert {name: text for name, text in said.items() if not text.startswith("refused")} == {}
    assert processes <= 5  # this one, two parked, two references


def test_a13_a_full_temporary_folder_is_gone_quickly(arena: Arena) -> None:
    source = (
        "def attack():\n"
        "    try:\n"
        "        for n in range(10**6):\n"
        "            with open(f'/tmp/{n}', 'wb') as file: file.write(bytes(15000))\n"
        "    except OSError as error: return error.errno"
    )
    with arena.program(source) as child:
        assert arena.call(child, "attack") == 28  # ENOSPC
        started = time.monotonic()
        child.close()
        assert time.monotonic() - started < 5


DEATHS = {
    "A21 deep repr": "def attack():\n    x = []\n    for _ in range(10**5): x = [x]\n    return len(repr(x))",
    "A21 brackets": "def attack(): return eval('(' * 10**5 + ')' * 10**5)",
    "A21 compile": "def attack():\n    return compile('-' * 10**6 + '1', 'x', 'eval')",
    "A29 abort": "def attack(): os.abort()",
    "B33 null pointer": "def attack(): ctypes.string_at(0)",
    "B33 code object": (
        "def f(): pass\n"
        "def attack():\n"
        "    f.__code__ = f.__code__.replace(co_code=bytes([100, 200]) * 20, co_consts=())\n"
        "    return f()"
    ),
    "B33 overwrite a type": "def attack():\n    ctypes.memset(id(int), 0xff, 256)\n    return 1 + 1",
    "B33 stack": "import threading\ndef attack():\n    ctypes.memset(id(libc), 0, 4096); return libc.getpid()",
}


@pytest.mark.parametrize("name", DEATHS)
def test_a_crash_is_only_the_childs(arena: Arena, name: str) -> None:
    result = arena.run(DEATHS[name], QUICK)
    assert result.how != "returned", result
    assert result.seconds < QUICK.wall_s + 1.0


def test_a29_leaves_no_core_file(arena: Arena) -> None:
    before = set(Path.cwd().glob("core*"))
    assert arena.run("def attack(): os.abort()").how in (SIGNAL, EXITED, CPU)
    assert set(Path.cwd().glob("core*")) == before


def test_a21_source_that_is_nested_without_end_is_no_fault_of_ours(arena: Arena) -> None:
    for text in (
        "(" * 10**5,
        "x = " + "[" * 10**4 + "]" * 10**4,
        "x = " + "-" * 10**5 + "1",
        "x" + ".a" * 10**5,
        "x = " + "+".join(["1"] * 10**5),
        "if 1:\n" + "".join(" " * n + "if 1:\n" for n in range(1, 99)),
    ):
        code = text + "\nclass Matmul: pass\nclass Relu: pass\n"
        graded = arena.grade("", data=code.encode())
        assert str(graded.report.status) != "grader_error", text[:20]
        assert graded.seconds < 5.0


def test_a34_many_at_once(arena: Arena) -> None:
    """More gradings at once than children are parked: each waits its turn, and each gets full marks."""
    with ThreadPoolExecutor(6) as pool:
        scores = list(pool.map(lambda _: arena.grade("").report.score, range(18)))
    assert scores == [100] * 18
    arena.engine.references.close()  # six were made; two are expected
    borrowed = [arena.engine.references.borrow(arena.assignment) for _ in range(2)]
    for reference in borrowed:
        arena.engine.references.give_back(arena.assignment, reference)


# Was a flaw (child.py, Child._drain_output/_wait):
# the closed output pipe stays in the poll set, where it is always ready;
# the grader spins until the wall limit and never looks at CPU time or memory.
def test_a_closed_output_pipe_does_not_make_the_grader_spin(arena: Arena) -> None:
    with arena.program("def attack():\n    os.close(1); os.close(2); time.sleep(60)", SHORT) as child:
        started = time.thread_time()
        with pytest.raises(ChildEnded):
            arena.call(child, "attack")
        assert time.thread_time() - started < 0.3


# Was a flaw (child.py, Child._wait):
# limits are looked at only when nothing was readable for 50 ms.
@pytest.mark.parametrize(
    "body",
    ["os.close(1); os.close(2)", "import threading; threading.Thread(target=trickle, daemon=True).start()"],
    ids=["output closed", "a byte every 10 ms"],
)
def test_the_cpu_limit_holds_while_bytes_flow(arena: Arena, body: str) -> None:
    limits = CheckLimits(cpu_s=0.5, wall_s=4.0, memory_mib=256, output_kib=64)
    source = (
        "def trickle():\n    while True:\n        os.write(1, b'x'); time.sleep(0.01)\n"
        f"def attack():\n    {body}\n    a = np.ones((200, 200))\n    while True: a @ a"
    )
    result = arena.run(source, limits)
    assert result.how == CPU, result
    assert result.seconds < 2.0, result


# Was a flaw (child.py, Child._wait):
# only the time inside poll is charged, so a child that keeps the grader busy with single
# bytes gets a multiple of its wall limit. The limit must be a point in time.
def test_a17_single_bytes_do_not_stretch_the_wall_limit(arena: Arena) -> None:
    limits = CheckLimits(cpu_s=30.0, wall_s=1.5, memory_mib=256, output_kib=64)
    source = (
        "import struct\n"
        "def attack():\n"
        "    fd, question, _ = forge()\n"
        "    os.write(fd, struct.pack('<IBBHII', 0x31445247, 17, 0, 0, question, 30 << 20))\n"
        "    while True: os.write(fd, b'x')"
    )
    result = arena.run(source, limits)
    assert result.how in (WALL, CPU), result
    assert result.seconds < limits.wall_s + 1.0, result
