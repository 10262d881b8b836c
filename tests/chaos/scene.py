"""The installation that faults are done to: a database on a small disk of its own, web and workers, students' files."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
from sqlalchemy import select

from grader.grading import Engine
from grader.sandbox.limits import SandboxConfig
from grader.sandbox.pool import Sandbox
from grader.service import accounts, publishing, roster
from grader.service.access import SHELL, Scope
from grader.service.catalogue import Catalogue
from grader.service.publishing import Rules
from grader.store.engine import Store
from grader.store.models import User
from grader.stories import Story
from grader.stories import load as load_story
from tests.postgres import Server

from .processes import Supervised

PROJECT = Path(__file__).resolve().parents[2]
ASSIGNMENT, COURSE = "numpy_autodiff", "chaos"
SECRET = "secret of the chaos run"
STORIES = (
    "correct_compact", "correct_with_base_class", "correct_notebook", "two_mistakes", "half_done", "relu_in_place",
    "divides_by_the_batch", "np_max_for_maximum", "gradients_transposed", "os_exit_zero", "import_typo",
    "untouched_starter", "not_json", "stub_above_method",
)  # fmt: skip
STUDENTS, PROBES = 50, 20
DISK_MIB = 512
_MNT_DETACH = 2


@functools.cache
def stories() -> dict[str, Story]:
    return {name: load_story(PROJECT / "submissions" / ASSIGNMENT / name) for name in STORIES}


def variant(story: Story, salt: str) -> bytes:
    """The story's file with a remark, so that it is another content and graded anew."""
    data = story.data
    if story.file.endswith(".ipynb"):
        with contextlib.suppress(ValueError):
            notebook = json.loads(data)
            notebook["cells"].append({"cell_type": "markdown", "id": "chaos", "metadata": {}, "source": [salt]})
            return json.dumps(notebook).encode()
    return data + f"\n# {salt}\n".encode()


def clock_library(folder: Path) -> Path | None:
    """What gives a process another time of day (clock.c); none where there is no C compiler."""
    made = folder / "clock.so"
    command = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-o", str(made), str(Path(__file__).with_name("clock.c"))]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        return None
    return made


class Disk:
    """A small file system of its own, in memory, that can be full for a while. Without root: a plain folder."""

    def __init__(self, folder: Path, mib: int = DISK_MIB) -> None:
        self.folder, self.own = folder, False
        folder.mkdir(mode=0o755)
        if os.getuid() == 0:
            mount = ctypes.CDLL(None, use_errno=True).mount
            self.own = mount(b"chaos", os.fsencode(folder), b"tmpfs", 0, f"size={mib}m,mode=0755".encode()) == 0

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Not a byte is left."""
        ballast = self.folder / "ballast"
        piece = b"\0" * (1 << 20)
        try:
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    piece = piece if file.write(piece) == len(piece) else piece[: max(1, len(piece) // 2)]
            yield
        finally:
            ballast.unlink(missing_ok=True)

    def close(self) -> None:
        if self.own:
            ctypes.CDLL(None).umount2(os.fsencode(self.folder), _MNT_DETACH)
            self.own = False


@dataclass(frozen=True, kw_only=True)
class Account:
    login: str
    token: str


class Scene:
    """A service of several processes over one database. server: the PostgreSQL server; none for SQLite."""

    def __init__(self, folder: Path, database: str, *, workers: int = 2) -> None:
        self.folder = folder
        self.server: Server | None = None
        self._held = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self._make(database, workers)
            undo.pop_all()

    def _make(self, database: str, workers: int) -> None:
        self.disk = Disk(self.folder / "disk")
        self._held.callback(self.disk.close)
        for name in ("tmp", "clocks"):
            (self.folder / name).mkdir()
        self._preload = clock_library(self.folder)
        if database == "postgresql":
            home = self.disk.folder / "server"
            home.mkdir()
            self.server = Server(home, durable=True)
            self._held.callback(self.server.close)
            self._tune()
            self.url = self.server.database("chaos")
        else:
            self.url = f"sqlite:///{self.disk.folder / 'grader.sqlite3'}"
        self.port = _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._run("migrate")
        self.accounts = self._fill()
        self.store = Store(self.url)
        self._held.callback(self.store.close)
        self.web = self._supervised("web", "serve", "--no-demo", slots=0)
        self.workers = [
            self._supervised(f"worker-{number}", "worker", "--runtimes", "numpy", slots=1)
            for number in range(1, workers + 1)
        ]

    @property
    def processes(self) -> list[Supervised]:
        return [self.web, *self.workers]

    def revived(self, folder: Path) -> tuple[Supervised, Store]:
        """A service, web and worker in one, over another folder's copy of an SQLite database."""
        environment = self._environment("", 1) | {
            "GRADER_DATA_DIR": str(folder), "GRADER_DATABASE_URL": "", "GRADER_PORT": "0",
        }  # fmt: skip
        grader = str(Path(sys.executable).with_name("grader"))
        log = self.folder / f"{folder.name}.log"
        return (
            Supervised(folder.name, [grader, "serve", "--no-demo"], environment, log),
            Store(f"sqlite:///{folder / 'grader.sqlite3'}"),
        )

    @property
    def skewable(self) -> bool:
        return self._preload is not None

    def start(self) -> None:
        for process in self.processes:
            process.start()
            if process is self.web:  # it makes what is not there yet, as its first start on a machine does
                self.wait_for("/health/live")
        self.wait_for("/health/ready")

    def wait_for(self, path: str, timeout_s: float = 60.0) -> None:
        until = time.monotonic() + timeout_s
        while not self.answers(path):
            if time.monotonic() > until:
                raise RuntimeError(f"{path} is not 200 after {timeout_s:.0f} s; see {self.folder}")
            time.sleep(0.05)

    def answers(self, path: str) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(self.address + path, timeout=5, trust_env=False).status_code == 200
        return False

    def set_clock(self, name: str, seconds: int) -> None:
        """Shifts the time of day of a process, now and when it is started again."""
        path = self.folder / "clocks" / name
        with path.open("r+b" if path.exists() else "wb", buffering=0) as file:
            file.write(struct.pack("=q", seconds))

    def stop(self) -> list[str]:
        """Ends web and workers as an administrator does; returns what did not end as it should."""
        wrong = []
        for process in reversed(self.processes):
            code = process.stop()
            if code != 0:
                wrong.append(f"{process.name} ended with {code} after SIGTERM")
        return wrong

    def close(self) -> None:
        """Ends the database; its log stays in the folder, with those of the processes."""
        if self.server is not None:
            with contextlib.suppress(OSError):
                shutil.copy(self.server.folder / "log", self.folder / "postgresql.log")
        self._held.close()

    def engine(self) -> Engine:
        """A grader in this process that gives every file the inputs that the service gives it."""
        return Engine(Sandbox(SandboxConfig(runner_python=PROJECT / ".venv-runner/bin/python")), SECRET.encode())

    # How it is made ------------------------------------------------------------------------------------------------

    def _environment(self, name: str, slots: int) -> dict[str, str]:
        settings = {
            "DATA_DIR": str(self.disk.folder), "DATABASE_URL": self.url, "PORT": str(self.port), "SLOTS": str(slots),
            "SECRET": SECRET, "UPLOADS_A_MINUTE": "10000", "REQUESTS_A_MINUTE": "1000000", "LOG_LEVEL": "warning",
        }  # fmt: skip
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
        env = kept | {f"GRADER_{key}": value for key, value in settings.items()}
        env |= {"TMPDIR": str(self.folder / "tmp"), "OPENBLAS_NUM_THREADS": "1"}
        if self._preload is not None and name:
            self.set_clock(name, 0)
            env |= {"LD_PRELOAD": str(self._preload), "CHAOS_CLOCK": str(self.folder / "clocks" / name)}
        return env

    def _supervised(self, name: str, *command: str, slots: int) -> Supervised:
        grader = str(Path(sys.executable).with_name("grader"))
        return Supervised(name, [grader, *command], self._environment(name, slots), self.folder / f"{name}.log")

    def _run(self, *command: str) -> None:
        grader = str(Path(sys.executable).with_name("grader"))
        subprocess.run([grader, *command], env=self._environment("", 1), check=True, stdout=subprocess.DEVNULL)

    def _tune(self) -> None:
        """So little journal that it fits the small disk."""
        assert self.server is not None
        with psycopg.connect(self.server.dsn("postgres"), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET max_wal_size = '96MB'")
            connection.execute("ALTER SYSTEM SET autovacuum = 'on'")
            connection.execute("SELECT pg_reload_conf()")

    def _fill(self) -> dict[str, Account]:
        """A course with its students, those who probe among them, and a token for each."""
        store, now = Store(self.url), datetime.now(UTC)
        names = [f"s{n:02d}" for n in range(STUDENTS)] + [f"probe{n:02d}" for n in range(PROBES)]
        with store.write() as session:
            course = publishing.make_course(session, SHELL, COURSE, "Chaos", "UTC", now)
            rules = Rules(opens_at=now - timedelta(days=1))
            publishing.publish(session, SHELL, course, Catalogue(PROJECT / "reference"), ASSIGNMENT, rules, now)
            lines = "".join(f"{name},Student {name},1\n" for name in names)
            roster.apply(session, SHELL, course, f"login,name,section\n{lines}".encode(), now)
            users = {login: number for login, number in session.execute(select(User.login, User.id))}
            made = {
                name: accounts.make_token(session, SHELL, users[name], "chaos", list(Scope), None, now)[1]
                for name in names
            }
        store.close()
        return {name: Account(login=name, token=token) for name, token in made.items()}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
