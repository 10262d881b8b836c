"""Section B: programs that try to reach what is not theirs.

Whatever concerns one call is a function of one program; every function answers "refused: ..." or tells what it did.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grader.sandbox import seccomp
from grader.sandbox.child import ChildEnded, Reason
from grader.sandbox.limits import CheckLimits
from grader.sandbox.posture import NAMESPACES, read_posture

from .arena import PROJECT, RUNNER, Arena

pytestmark = pytest.mark.sandbox
x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers and instructions of x86_64")
ROOMY = CheckLimits(cpu_s=10.0, wall_s=20.0, memory_mib=512, output_kib=256)

SYSTEM_CALLS = """
def every_call(numbers):
    found = {}
    for number in numbers:
        ctypes.set_errno(0)
        result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
        code = ctypes.get_errno()
        if result != -1 or code not in (errno.ENOSYS, errno.EPERM): found[number] = [int(result), code]
    return found

def one(number, args):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) for a in args))
    return [int(result), errno.errorcode.get(ctypes.get_errno(), "")]

def machine_code(text):
    import mmap
    code = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
    code.write(bytes.fromhex(text))
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return ctypes.CFUNCTYPE(ctypes.c_long)(address)()

def fuzz(seed, count):
    import random
    draw = random.Random(seed)
    values = [0, 1, 2, 3, 4, -1, 1 << 12, 1 << 31, 1 << 62, id(draw), id(draw) & ~4095]
    for _ in range(count):
        number = draw.randrange(470)
        if number in (60, 231, 0, 7, 23, 35, 202, 230, 232, 270, 271, 281, 441, 15): continue  # ends, waits
        libc.syscall(ctypes.c_long(number), *(ctypes.c_long(draw.choice(values)) for _ in range(6)))
    return 1
"""


def test_b18_every_system_call_off_the_list_is_refused(arena: Arena) -> None:
    """The whole range, with arguments that no call accepts: what is not allowed gives ENOSYS or EPERM, nothing else."""
    listed = set(seccomp.allowed(platform.machine()).values())
    numbers = [n for n in range(1024) if n not in listed and n not in (335, 336)]
    with arena.program(SYSTEM_CALLS, ROOMY) as child:
        assert arena.call(child, "every_call", numbers) == {}


@x86_64
def test_calls_that_the_kernel_lets_past_filters_do_nothing(arena: Arena) -> None:
    for number in (335, 336):  # uretprobe, uprobe
        with arena.program(SYSTEM_CALLS) as child:
            try:
                ended, result = "", arena.call(child, "one", number, [0] * 6)[0]
            except ChildEnded as error:
                ended, result = str(error.reason), -1
        assert (ended, result) in (("", -1), ("signal", -1))


@x86_64
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("int 0x80 getpid", "b814000000cd80c3"),
        ("int 0x80 execve", "b80b000000cd80c3"),
        ("x32 getpid", "b8270000400f05c3"),
        ("x32 execve", "b8080200400f05c3"),
    ],
)
def test_b11_another_instruction_set_kills(arena: Arena, name: str, code: str) -> None:
    with arena.program(SYSTEM_CALLS) as child:
        assert arena.call(child, "machine_code", "b827000000" + "0f05c3") == 1  # the native getpid works: process 1
        with pytest.raises(ChildEnded) as caught:
            arena.call(child, "machine_code", code)
    assert caught.value.reason is Reason.SIGNAL
    assert caught.value.detail == "SIGSYS"


@x86_64
def test_b31_random_system_calls(arena: Arena) -> None:
    for seed in range(6):
        limits = CheckLimits(cpu_s=2.0, wall_s=2.0, memory_mib=256, output_kib=64)
        # To close its own pipe or unmap its own code is its own affair.
        with arena.program(SYSTEM_CALLS, limits) as child, contextlib.suppress(ChildEnded):
            arena.call(child, "fuzz", seed, 20_000)


NAMED = {
    "clone NEWUSER": (56, [0x10000000, 0, 0, 0, 0]),
    "clone NEWNS": (56, [0x00020000 | 17, 0, 0, 0, 0]),
    "clone process": (56, [17, 0, 0, 0, 0]),
    "clone vfork": (56, [0x4100 | 17, 0, 0, 0, 0]),
    "clone thread in a namespace": (56, [0x00010F00 | 0x20000000, 0, 0, 0, 0]),
    "clone3": (435, [0, 88]),
    "unshare": (272, [0x10000000]),
    "setns": (308, [0, 0]),
    "ptrace TRACEME": (101, [0, 0, 0, 0]),
    "ptrace ATTACH": (101, [16, 1, 0, 0]),
    "ptrace SEIZE": (101, [0x4206, 1, 0, 0]),
    "process_vm_readv": (310, [1, 0, 0, 0, 0, 0]),
    "process_vm_writev": (311, [1, 0, 0, 0, 0, 0]),
    "pidfd_open": (434, [1, 0]),
    "pidfd_getfd": (438, [0, 0, 0]),
    "pidfd_send_signal": (424, [0, 9, 0, 0]),
    "process_madvise": (440, [0, 0, 0, 4, 0]),
    "kcmp": (312, [1, 1, 0, 0, 0]),
    "kill": (62, [1, 9]),
    "tkill": (200, [1, 9]),
    "tgkill another": (234, [2, 2, 9]),
    "rt_sigqueueinfo": (129, [1, 9, 0]),
    "keyctl": (250, [0, -3, 1]),
    "add_key": (248, [0, 0, 0, 0, -3]),
    "request_key": (249, [0, 0, 0, -3]),
    "io_uring_setup": (425, [1, 0]),
    "io_uring_enter": (426, [0, 0, 0, 0]),
    "bpf": (321, [0, 0, 0]),
    "perf_event_open": (298, [0, 0, 0, 0, 0]),
    "userfaultfd": (323, [0]),
    "fanotify_init": (300, [0, 0]),
    "inotify_init": (253, []),
    "inotify_init1": (294, [0]),
    "kexec_load": (246, [0, 0, 0, 0]),
    "init_module": (175, [0, 0, 0]),
    "finit_module": (313, [0, 0, 0]),
    "iopl": (172, [3]),
    "ioperm": (173, [0, 1, 1]),
    "modify_ldt": (154, [0, 0, 0]),
    "arch_prctl": (158, [0x1002, 0]),
    "seccomp": (317, [1, 8, 0]),
    "landlock_create_ruleset": (444, [0, 0, 1]),
    "memfd_secret": (447, [0]),
    "pkey_alloc": (330, [0, 0]),
    "name_to_handle_at": (303, [-100, 0, 0, 0, 0]),
    "open_by_handle_at": (304, [-100, 0, 0]),
    "quotactl": (179, [0, 0, 0, 0]),
    "acct": (163, [0]),
    "swapon": (167, [0, 0]),
    "reboot": (169, [0, 0, 0, 0]),
    "syslog": (103, [2, 0, 0]),
    "move_pages": (279, [0, 0, 0, 0, 0, 0]),
    "migrate_pages": (256, [0, 0, 0, 0]),
    "splice": (275, [0, 0, 0, 0, 0, 0]),
    "tee": (276, [0, 0, 0, 0]),
    "vmsplice": (278, [0, 0, 0, 0]),
    "personality": (135, [0x0040000]),
    "openat2": (437, [-100, 0, 0, 0]),
    "open_tree": (428, [-100, 0, 0]),
    "fsopen": (430, [0, 0]),
    "fsmount": (432, [0, 0, 0]),
    "mount_setattr": (442, [0, 0, 0, 0, 0]),
    "futex requeue PI": (202, [0, 12, 0, 0, 0, 0]),
    "prctl SET_DUMPABLE": (157, [4, 1, 0, 0, 0]),
    "prctl SET_SECCOMP": (157, [22, 2, 0, 0, 0]),
    "prctl SET_SECUREBITS": (157, [28, 0, 0, 0, 0]),
    "prctl SET_PDEATHSIG": (157, [1, 0, 0, 0, 0]),
    "prctl SET_PTRACER": (157, [0x59616D61, -1, 0, 0, 0]),
    "setuid": (105, [0]),
    "setgid": (106, [0]),
    "setreuid": (113, [0, 0]),
    "setgroups": (116, [0, 0]),
    "setresuid": (117, [0, 0, 0]),
    "setfsuid": (122, [0]),
    "capset": (126, [0, 0]),
    "chroot": (161, [0]),
    "pivot_root": (155, [0, 0]),
    "mount": (165, [0, 0, 0, 0, 0]),
    "umount2": (166, [0, 2]),
    "mknod": (133, [0, 0o20600, 0x101]),
    "mknodat": (259, [-100, 0, 0o20600, 0x101]),
    "execve": (59, [0, 0, 0]),
    "execveat": (322, [-1, 0, 0, 0, 0x1000]),
    "sethostname": (170, [0, 0]),
    "settimeofday": (164, [0, 0]),
    "flock": (73, [0, 1]),
    "fcntl F_SETLK": (72, [0, 6, 0]),
    "fcntl F_OFD_SETLK": (72, [0, 37, 0]),
    "fcntl F_SETLEASE": (72, [0, 1024, 0]),
    "fcntl F_NOTIFY": (72, [0, 1026, 1]),
    "fcntl F_SETOWN": (72, [3, 8, 1]),
    "fcntl F_SETSIG": (72, [3, 10, 9]),
    "ioctl TIOCSTI": (16, [0, 0x5412, 0]),
    "ioctl TIOCLINUX": (16, [0, 0x541C, 0]),
    "ioctl FIONBIO with high bits": (16, [0, 0x5421, 0]),
    "socket": (41, [2, 1, 0]),
    "socketpair": (53, [1, 1, 0, 0]),
    "sendmsg": (46, [4, 0, 0]),
    "madvise HWPOISON": (28, [0, 4096, 100]),
    "set_mempolicy": (238, [0, 0, 0]),
    "getitimer": (36, [0, 0]),
}


@x86_64
def test_b7_to_b25_named_calls_are_refused(arena: Arena) -> None:
    with arena.program(SYSTEM_CALLS, ROOMY) as child:
        said = {name: arena.call(child, "one", number, args) for name, (number, args) in NAMED.items()}
    refused = ("ENOSYS", "EPERM", "ENOTTY", "EINVAL")
    assert {name: got for name, got in said.items() if got[0] != -1 or got[1] not in refused} == {}


PROBES = """
import glob, io, pickle, signal, socket, subprocess, threading

def b1_sockets():
    made = []
    for family in range(46):
        for kind in (1, 2, 3, 5):
            try: made.append((family, kind, socket.socket(family, kind)))
            except OSError: pass
    return f"possible: {made}" if made else "refused: every family"
def b1_socketpair(): return attempt(socket.socketpair)
def b2_connect():
    said = []
    for address in (("127.0.0.1", 8000), ("169.254.169.254", 80), ("172.17.0.1", 2375), ("8.8.8.8", 53)):
        said.append(attempt(lambda: socket.create_connection(address, 1)))
    return said[0] if all(s.startswith("refused") for s in said) else f"possible: {said}"
def b2_resolve(): return attempt(lambda: socket.getaddrinfo("example.org", 80))
def b2_interfaces(): return attempt(socket.if_nameindex)
def b3_docker(): return attempt(lambda: open("/run/docker.sock"))
def b3_x11(): return attempt(lambda: os.listdir("/tmp/.X11-unix"))
def b5_proc():
    seen = []
    for name in ("self/environ", "self/mem", "self/maps", "self/fd", "1/root", "1/environ", "1/status", "sysrq-trigger",
                 "kcore", "keys", "kallsyms", "mounts", "self/mountinfo", "self/cmdline", "version", "meminfo", "net"):
        try: os.stat("/proc/" + name); seen.append(name)
        except OSError: pass
    return f"possible: {seen}" if seen else "refused: nothing there"
def b5_proc_list():
    found = set(os.listdir("/proc")) - {"self", "cpuinfo"}
    return f"possible: {found}" if found else "refused: two names"
def b5_sys(): return attempt(lambda: os.listdir("/sys"))
def b5_etc(): return attempt(lambda: os.listdir("/etc"))
def b5_passwd(): return attempt(lambda: open("/etc/passwd").read())
def b5_homes():
    seen = [p for p in ("/root", "/home", "/work", "/var", "/opt", "/srv", "/run", "/mnt", "/old") if os.path.exists(p)]
    return f"possible: {seen}" if seen else "refused: none there"
def b6_proc_mount(): return attempt(lambda: system_call(165, ctypes.c_char_p(b"proc"), ctypes.c_char_p(b"/tmp"),
    ctypes.c_char_p(b"proc"), 0, 0))
def b9_kill_group(): return attempt(lambda: os.kill(0, 9))
def b9_kill_all(): return attempt(lambda: os.kill(-1, 9))
def b9_kill_parent(): return attempt(lambda: os.kill(os.getppid(), 9))
def b9_own_number(): return "refused: process 1" if (os.getpid(), os.getppid()) == (1, 0) else "possible"
def b13_programs():
    seen = [p for p in ("/bin/sh", "/usr/bin/su", "/usr/bin/sudo", "/bin/ping", "/usr/bin/gcc") if os.path.exists(p)]
    return f"possible: {seen}" if seen else "refused: none"
def b13_loader(): return attempt(lambda: os.execv("/lib64/ld-linux-x86-64.so.2", ["ld", "/python/bin/python3.11"]))
def b15_own_library():
    def action():
        source = glob.glob("/packages/numpy/linalg/_umath_linalg*.so")[0]
        with open(source, "rb") as file: data = file.read()
        with open("/tmp/evil.so", "wb") as file: file.write(data)
        ctypes.CDLL("/tmp/evil.so")
    return attempt(action)
def b19_devices():
    seen = sorted(os.listdir("/dev"))
    return "refused: four" if seen == ["full", "null", "urandom", "zero"] else f"possible: {seen}"
def b19_kmsg(): return attempt(lambda: open("/dev/kmsg"))
def b21_dotdot():
    path = "/tmp/" + "../" * 50
    return "possible" if os.path.exists(path + "etc") or os.path.exists(path + "root") else "refused"
def b21_list_root(): return attempt(lambda: os.listdir("/"))
def b22_symlink(): return attempt(lambda: os.symlink("/etc/passwd", "/tmp/x"))
def b22_symlink_up(): return attempt(lambda: os.symlink("../../..", "/tmp/up"))
def b24_write():
    made = []
    for path in ("/packages/numpy/__init__.py", "/packages/evil.pth", "/packages/sitecustomize.py", "/python/lib/x",
                 "/usr/x", "/x", "/dev/x", "/dev/shm/x", "/proc/x", "/proc/cpuinfo", "/lib/x",
                 "/packages/numpy/__pycache__/x.pyc", "/proc/self/x", "/var/tmp/x"):
        for flags in (os.O_WRONLY, os.O_WRONLY | os.O_CREAT, os.O_RDWR | os.O_TRUNC):
            try: os.close(os.open(path, flags)); made.append(path)
            except OSError: pass
    return f"possible: {made}" if made else "refused: all"
def b24_change():
    made = []
    for action in (lambda: os.chmod("/packages", 0o777), lambda: os.utime("/packages/numpy/__init__.py"),
                   lambda: os.rename("/packages/numpy", "/packages/n"),
                   lambda: os.unlink("/packages/numpy/__init__.py"),
                   lambda: os.rename("/tmp/home", "/packages/home"),
                   lambda: os.truncate("/packages/numpy/__init__.py", 0), lambda: os.mkdir("/packages/x"),
                   lambda: os.rmdir("/proc/self"), lambda: os.chown("/packages", 0, 0)):
        try: action(); made.append(1)
        except OSError: pass
    return f"possible: {made}" if made else "refused: all"
def b25_setuid():
    for action in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([]), lambda: os.setresuid(0, 0, 0)):
        if attempt(action).startswith("possible"): return "possible"
    return "refused" if os.getuid() == 1000 and os.geteuid() == 1000 else f"possible: {os.getuid()}"
def b26_descriptors():
    found = []
    for fd in range(1024):
        try: os.fstat(fd); found.append(fd)
        except OSError: pass
    return "refused: five" if found == [0, 1, 2, 3, 4] else f"possible: {found}"
def b27_environment():
    text = repr(dict(os.environ)) + repr(sys.argv) + repr(sys.orig_argv)
    pointer = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
    at = 0
    while pointer[at]:
        text += repr(pointer[at]); at += 1
    words = ("GRADER", "SECRET", "canary", "/work", "/root", "reference", "TOKEN", "PASSWORD")
    bad = [word for word in words if word in text]
    return f"possible: {bad}" if bad else "refused: nothing of ours"
def b35_hostname():
    uname = os.uname()
    return "refused: generic" if uname.nodename == socket.gethostname() == "grader" else f"possible: {uname}"
def b37_pickle():
    class Evil:
        def __reduce__(self): return (os.system, ("true",))
    status = pickle.loads(pickle.dumps(Evil()))
    return f"possible: {status}" if status == 0 else f"refused: {status}"
def b37_load():
    np.save("/tmp/x.npy", np.array([{}], dtype=object), allow_pickle=True)
    return attempt(lambda: np.load("/tmp/x.npy"))
def c11_import():
    found = []
    for name in ("grader", "grader.checks", "grader.sandbox.wire", "reference", "reference.numpy_autodiff.checks",
                 "solution", "numpy_autodiff", "checks", "tensorflow.nn", "keras.layers", "torch", "autograd", "jax"):
        try: __import__(name); found.append(name)
        except ImportError: pass
    return f"possible: {found}" if found else "refused: none"
def c11_walk():
    import pkgutil
    names = [m.name for m in pkgutil.iter_modules() if m.name in ("grader", "reference", "pydantic", "typer", "pytest")]
    return f"possible: {names}" if names else "refused: none"
def c11_files():
    found = []
    for root in ("/usr", "/lib64", "/python", "/packages", "/tmp", "/proc", "/dev"):
        for folder, folders, names in os.walk(root):
            found += [n for n in (*folders, *names) if n in ("solution.py", "checks.py", "numpy_autodiff", "grader")]
    return f"possible: {found}" if found else "refused: none"
def c17_caches():
    made = []
    for folder in ("~/.keras", "~/.cache", "~/.config"):
        os.makedirs(os.path.expanduser(folder), exist_ok=True)
    return "refused: private" if os.path.expanduser("~").startswith("/tmp/") else "possible"
"""
_PROBE_NAMES = [line[4 : line.index("(")] for line in PROBES.splitlines() if line.startswith(("def b", "def c"))]


def test_b1_to_b37_nothing_outside_can_be_reached(arena: Arena) -> None:
    with arena.program(PROBES, ROOMY) as child:
        said = {name: str(arena.call(child, name)) for name in _PROBE_NAMES}
    assert {name: text for name, text in said.items() if not text.startswith("refused")} == {}


def test_the_kernel_says_so_too(arena: Arena) -> None:
    """B25, B26 and the mounts, read from outside: the child's own word counts for nothing."""
    with arena.program(
        "import threading\ndef attack():\n    threading.Thread(target=time.sleep, args=(9,)).start()"
    ) as child:
        arena.call(child, "attack")
        posture = read_posture(child.pid)
    assert len(posture.threads) == 2
    assert posture.everywhere("NoNewPrivs", "1")
    assert posture.everywhere("Seccomp", "2")
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert posture.everywhere(name, "0" * 16), name
    assert sorted(posture.descriptors) == [0, 1, 2, 3, 4]
    assert all(posture.separate(name) for name in NAMESPACES)
    assert set(posture.writable) <= {"/tmp"}
    assert "/proc" not in {mount[0] for mount in posture.mounts}
    # B13: a setuid file that a bind shows has no effect.
    assert [m[0] for m in posture.mounts if "nosuid" not in m[1].split(",") and not m[0].startswith("/dev/")] == []


def test_b30_nothing_is_left_for_the_next_child(arena: Arena) -> None:
    leave = (
        "def attack():\n"
        "    for path in ('/tmp/left', '/tmp/home/left', '/tmp/sitecustomize.py', '/tmp/numpy.py'):\n"
        "        open(path, 'w').write('x')\n"
        "    np.allclose = lambda *a, **k: True\n"
        "    np.left = True\n"
        "    sys.modules['left'] = sys\n"
        "    import builtins; builtins.abs = lambda x: 0\n"
        "    os.environ['LEFT'] = 'x'\n"
        "    np.seterr(all='raise')\n"
        "    return 1"
    )
    look = (
        "import glob\n"
        "def attack():\n"
        "    files = sorted(glob.glob('/tmp/*') + glob.glob('/tmp/home/*'))\n"
        "    return [files, hasattr(np, 'left'), 'left' in sys.modules,\n"
        "            abs(3), 'LEFT' in os.environ, np.allclose(1.0, 2.0), np.geterr()['divide']]"
    )
    assert arena.run(leave).value == 1
    for _ in range(3):
        assert arena.run(look).value == [["/tmp/home", "/tmp/mnist.npz"], False, False, 3, False, False, "warn"]


def test_c16_two_children_at_once_are_apart(arena: Arena) -> None:
    source = (
        "def write(text):\n    open('/tmp/shared', 'w').write(text)\n"
        "def read():\n    return os.path.exists('/tmp/shared')"
    )
    with arena.program(source) as one, arena.program(source) as other:
        arena.call(one, "write", "x")
        assert arena.call(one, "read") is True
        assert arena.call(other, "read") is False


def test_randomness_is_not_shared_between_children(arena: Arena) -> None:
    """Forks of one zygote: what is random from the kernel differs, what is seeded by the grader is the same."""
    source = (
        "def attack():\n    import random, uuid\n    return [os.urandom(8).hex(), str(uuid.uuid4()), random.random()]"
    )
    one, other = arena.run(source).value, arena.run(source).value
    assert one[0] != other[0]
    assert one[1] != other[1]
    assert one[2] == other[2]


def test_b10_signals_from_inside_reach_nobody(arena: Arena) -> None:
    source = (
        "def attack():\n"
        "    sent = []\n"
        "    for number in (62, 200, 129, 297, 424, 234):\n"
        "        for pid in (-1, 0, *range(2, 400)):\n"
        "            for args in ((pid, 9), (pid, pid, 9)):\n"
        "                if libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) for a in args)) == 0:\n"
        "                    sent.append((number, pid))\n"
        "    return sent"
    )
    with arena.beside():
        assert arena.run(source).value == []


def test_the_grader_killed_leaves_nothing(arena: Arena) -> None:
    """kill -9 of a grader takes its zygote and every child with it."""
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom grader.sandbox.pool import Sandbox, SandboxConfig\n"
        f"s = Sandbox(SandboxConfig(runner_python=Path({str(RUNNER)!r}), parked=1))\n"
        "s.start('numpy'); s.wait_parked('numpy'); c = s.take('numpy')\n"
        "print(c.pid, s.zygote('numpy')._process.pid, flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=PROJECT, text=True)
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 3.0
    while time.monotonic() < deadline and any(os.path.exists(f"/proc/{pid}/cwd") for pid in pids):
        time.sleep(0.02)
    left = [pid for pid in pids if os.path.exists(f"/proc/{pid}/cwd") and _state(pid) != "Z"]
    for group in Path("/sys/fs/cgroup").glob(f"*/**/grader-{process.pid}"):  # a killed grader cannot remove its groups
        for folder in (*group.iterdir(), group):
            if folder.is_dir():
                folder.rmdir()
    assert left == []


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"
