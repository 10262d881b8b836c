"""Landlock on this kernel. Every probe runs in a process of its own: a restriction cannot be taken off again."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from grader.sandbox import landlock

SOURCE = Path(landlock.__file__).read_text(encoding="utf-8")
ABI = landlock.abi_version()

# The module is exec'd from its text, as in the sandbox. `attempt` turns what happens into the name of an errno.
PREAMBLE = """
import ctypes, errno, json, os, sys, types

landlock = types.ModuleType("landlock")
exec(compile(sys.stdin.read(), "landlock", "exec"), landlock.__dict__)
given = json.loads(sys.argv[1])
ABI = landlock.abi_version()
answers = {}

def confine(read_only=(), read_write=(), abi=ABI):
    ruleset = landlock.make_ruleset(abi, read_only=read_only, read_write=read_write)
    assert ctypes.CDLL(None).prctl(38, 1, 0, 0, 0) == 0
    landlock.restrict_self(ruleset)
    os.close(ruleset)

def attempt(name, action, *arguments):
    try:
        answers[name] = action(*arguments)
    except OSError as error:
        answers[name] = errno.errorcode[error.errno]
"""


def confined(script: str, **given: object) -> dict[str, object]:
    """Run `script` after the preamble; what it puts into `answers`."""
    script = PREAMBLE + textwrap.dedent(script) + "\nprint(json.dumps(answers))"
    run = subprocess.run(
        [sys.executable, "-I", "-c", script, json.dumps(given)],
        input=SOURCE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    answers: dict[str, object] = json.loads(run.stdout)
    return answers


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A read-only directory, a writable one with two subdirectories, and a secret beside them."""
    for name in ("open", "work/a", "work/b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "open/given.txt").write_text("given")
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path


def test_abi_version_agrees_with_the_kernel() -> None:
    assert 1 <= ABI < 100, "these tests need a kernel with Landlock"


def test_files_outside_the_grants_are_refused(tree: Path) -> None:
    answers = confined(
        """
        read = lambda path: open(path).read()
        attempt("before", read, given["tree"] + "/secret.txt")
        confine([given["tree"] + "/open"], [given["tree"] + "/work"])
        attempt("given", read, given["tree"] + "/open/given.txt")
        attempt("list given", os.listdir, given["tree"] + "/open")
        attempt("secret", read, given["tree"] + "/secret.txt")
        attempt("dots", read, given["tree"] + "/open/../secret.txt")
        attempt("passwd", read, "/etc/passwd")
        attempt("list root", os.listdir, "/")
        attempt("list parent", os.listdir, given["tree"])
        attempt("environ", read, "/proc/self/environ")
        """,
        tree=str(tree),
    )
    assert answers == {
        "before": "secret",
        "given": "given",
        "list given": ["given.txt"],
        **dict.fromkeys(("secret", "dots", "passwd", "list root", "list parent", "environ"), "EACCES"),
    }


def test_a_read_only_directory_cannot_be_changed(tree: Path) -> None:
    answers = confined(
        """
        confine([given["tree"] + "/open"], [])
        path = given["tree"] + "/open/"
        attempt("write", lambda: open(path + "given.txt", "r+").close())
        attempt("truncate", os.truncate, path + "given.txt", 0)
        attempt("create", lambda: open(path + "new", "x").close())
        attempt("mkdir", os.mkdir, path + "new")
        attempt("unlink", os.unlink, path + "given.txt")
        attempt("rename", os.rename, path + "given.txt", path + "other.txt")
        """,
        tree=str(tree),
    )
    expected = dict.fromkeys(("write", "truncate", "create", "mkdir", "unlink", "rename"), "EACCES")
    if ABI < 3:
        expected.pop("truncate")
    assert answers.items() >= expected.items()
    assert sorted(path.name for path in (tree / "open").iterdir()) == ["given.txt"]


def test_a_writable_directory_takes_files_and_directories_only(tree: Path) -> None:
    answers = confined(
        """
        import socket, stat
        confine([], [given["tree"] + "/work"])
        os.chdir(given["tree"] + "/work")

        def write():
            with open("a/file", "w") as file:
                file.write("text")
            os.truncate("a/file", 2)
            os.rename("a/file", "a/moved")
            return open("a/moved").read()

        attempt("write", write)
        attempt("mkdir", os.mkdir, "c")
        attempt("rmdir", os.rmdir, "c")
        attempt("rename away", os.rename, "a/moved", "b/moved")
        attempt("link away", os.link, "a/moved", "b/link")
        attempt("unlink", os.unlink, "a/moved")
        attempt("symlink", os.symlink, "/etc/passwd", "link")
        attempt("fifo", os.mkfifo, "fifo")
        attempt("device", os.mknod, "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        attempt("block device", os.mknod, "disk", stat.S_IFBLK | 0o600, os.makedev(8, 0))
        attempt("socket", socket.socket(socket.AF_UNIX).bind, "socket")
        attempt("left", os.listdir, ".")
        """,
        tree=str(tree),
    )
    assert sorted(answers.pop("left")) == ["a", "b"]  # type: ignore[call-overload]
    block_device = answers.pop("block device")
    assert block_device in {"EACCES", "EPERM"}  # without CAP_MKNOD the kernel says so first
    device = answers.pop("device")
    assert device in {"EACCES", "EPERM"}
    assert answers == {
        "write": "te",
        "mkdir": None,
        "rmdir": None,
        "rename away": "EXDEV",
        "link away": "EXDEV",
        "unlink": None,
        **dict.fromkeys(("symlink", "fifo", "socket"), "EACCES"),
    }


def test_a_grant_may_be_one_file_or_an_open_descriptor(tree: Path) -> None:
    answers = confined(
        """
        directory = os.open(given["tree"] + "/open", os.O_PATH | os.O_CLOEXEC)
        file = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)
        confine([directory, given["tree"] + "/secret.txt"], [file])
        attempt("directory", lambda: open(given["tree"] + "/open/given.txt").read())
        attempt("file", lambda: open(given["tree"] + "/secret.txt").read())
        attempt("write file", lambda: open(given["tree"] + "/secret.txt", "a").close())
        attempt("device", lambda: open("/dev/null", "w").write("x"))
        attempt("beside", lambda: open("/dev/zero", "rb").close())
        attempt("descriptors are left open", lambda: [os.fstat(fd).st_ino > 0 for fd in (directory, file)])
        """,
        tree=str(tree),
    )
    assert answers == {
        "directory": "given",
        "file": "secret",
        "write file": "EACCES",
        "device": 1,
        "beside": "EACCES",
        "descriptors are left open": [True, True],
    }


def test_an_open_descriptor_keeps_its_rights(tree: Path) -> None:
    answers = confined(
        """
        secret = open(given["tree"] + "/secret.txt")
        confine()
        attempt("open before", secret.read)
        """,
        tree=str(tree),
    )
    assert answers == {"open before": "secret"}, "if this changes, the reason to close descriptors first has changed"


def test_tcp_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        answers = confined(
            """
            import socket
            address = ("127.0.0.1", given["port"])
            attempt("before", lambda: socket.create_connection(address).close())
            confine()
            attempt("connect", lambda: socket.socket().connect(address))
            attempt("bind", lambda: socket.socket().bind(("127.0.0.1", 0)))
            """,
            port=server.getsockname()[1],
        )
    refused = "EACCES" if ABI >= 4 else None  # TCP came with Landlock 4
    assert answers == {"before": None, "connect": refused, "bind": refused}


def test_signals_and_abstract_sockets_stay_inside() -> None:
    name = f"\0landlock-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        answers = confined(
            """
            import signal, socket, threading

            def connect():
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(given["name"])

            attempt("connect before", connect)
            attempt("signal before", os.kill, os.getppid(), 0)
            confine()
            attempt("connect", connect)
            attempt("signal", os.kill, os.getppid(), 0)

            caught = []
            signal.signal(signal.SIGUSR1, lambda number, frame: caught.append(number))
            release = threading.Event()
            thread = threading.Thread(target=release.wait)
            thread.start()
            attempt("thread", signal.pthread_kill, thread.ident, signal.SIGUSR1)
            back = ("from thread", signal.pthread_kill, threading.main_thread().ident, signal.SIGUSR1)
            other = threading.Thread(target=attempt, args=back)
            other.start()
            other.join()
            release.set()
            thread.join()
            attempt("own process", os.kill, os.getpid(), signal.SIGUSR1)
            answers["caught"] = bool(caught)
            """,
            name=name,
        )
    refused = "EPERM" if ABI >= 6 else None  # scopes came with Landlock 6
    assert answers == {
        "connect before": None,
        "signal before": None,
        "connect": refused,
        "signal": refused,
        "thread": None,
        "from thread": None,
        "own process": None,
        "caught": True,
    }


def test_threads_and_children_inherit_the_restriction(tree: Path) -> None:
    answers = confined(
        """
        import threading
        confine()
        read = lambda: open(given["tree"] + "/secret.txt").read()
        thread = threading.Thread(target=attempt, args=("thread", read))
        thread.start()
        thread.join()
        child = os.fork()
        if child == 0:
            attempt("child", read)
            os._exit(0 if answers["child"] == "EACCES" else 1)
        answers["child"] = os.waitpid(child, 0)[1]
        """,
        tree=str(tree),
    )
    assert answers == {"thread": "EACCES", "child": 0}


@pytest.mark.parametrize("abi", range(1, ABI + 1))
def test_every_older_abi_still_guards_the_files(abi: int, tree: Path) -> None:
    answers = confined(
        """
        import fcntl
        TCGETS = 0x5401
        confine([given["tree"] + "/open"], [given["tree"] + "/work", "/dev/null"], abi=given["abi"])
        attempt("given", lambda: open(given["tree"] + "/open/given.txt").read())
        attempt("secret", lambda: open(given["tree"] + "/secret.txt").read())
        attempt("write", lambda: open(given["tree"] + "/work/new", "w").write("x"))
        attempt("truncate", os.truncate, given["tree"] + "/open/given.txt", 0)
        attempt("device", fcntl.ioctl, os.open("/dev/null", os.O_RDWR), TCGETS, bytes(64))
        """,
        tree=str(tree),
        abi=abi,
    )
    assert answers == {
        "given": "given",
        "secret": "EACCES",
        "write": 1,
        "truncate": "EACCES" if abi >= 3 else None,
        "device": "EACCES" if abi >= 5 else "ENOTTY",
    }


def test_a_kernel_newer_than_the_module_is_used_as_the_newest_known() -> None:
    if landlock.NEWEST_ABI > ABI:
        with pytest.raises(OSError, match="landlock_create_ruleset") as caught:
            landlock.make_ruleset(99, read_only=[], read_write=[])
        assert caught.value.errno in {errno.EINVAL, errno.E2BIG}
    else:
        os.close(landlock.make_ruleset(99, read_only=[], read_write=[]))


def test_failures_name_the_step_and_leave_no_descriptor(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    os.close(landlock.make_ruleset(ABI, read_only=[str(tmp_path)], read_write=["/dev/null"]))
    with pytest.raises(FileNotFoundError, match="missing"):
        landlock.make_ruleset(ABI, read_only=[str(tmp_path / "missing")], read_write=[])
    read_end, write_end = os.pipe()
    with pytest.raises(OSError, match=rf"landlock_add_rule \({read_end}\)"):
        landlock.make_ruleset(ABI, read_only=[read_end], read_write=[])
    os.close(read_end)
    os.close(write_end)
    with pytest.raises(ValueError, match="ABI 0"):
        landlock.make_ruleset(0, read_only=[], read_write=[])
    with pytest.raises(OSError, match="landlock_restrict_self") as caught:
        landlock.restrict_self(-1)
    assert caught.value.errno in {errno.EBADF, errno.EPERM}
    assert os.listdir("/proc/self/fd") == before


def test_the_ruleset_is_not_inherited_by_exec(tmp_path: Path) -> None:
    ruleset = landlock.make_ruleset(ABI, read_only=[str(tmp_path)], read_write=[])
    try:
        assert not os.get_inheritable(ruleset)
    finally:
        os.close(ruleset)
