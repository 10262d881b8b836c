"""A PostgreSQL server of the tests' own: in a new folder, on a free port of loopback, ended when Python ends.

    server = running()                              # one for this process, started when first asked for
    url = server.database("kit_1", template="...")  # postgresql+psycopg://...
    server.stop(signal.SIGKILL); server.start()     # a crash, and its recovery

Debian's package `postgresql` gives the programs. As root they run as the user `postgres`, since they refuse root.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "400",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "max_wal_size": "4GB",
}
_START_S = 30.0
_ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


def programs() -> Path | None:
    """The folder of initdb and postgres; none where they are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return None if on_path is None else Path(on_path).parent


def require() -> Path:
    """Like programs; without them the test is skipped, and fails where CI=true."""
    folder = programs()
    if folder is None:
        said = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)
    return folder


class Server:
    """One cluster. durable: with fsync, as in earnest; without it tests are faster, and survive all but a power cut."""

    def __init__(self, folder: Path, *, durable: bool = False, port: int = 0) -> None:
        self.programs, self.folder = require(), folder
        self.port = port or _free_port()
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        self.data = folder / "data"
        subprocess.run(
            self._as_its_user(
                "initdb", "--pgdata", str(self.data), "--auth=trust", "--username=grader", "--encoding=UTF8",
                "--locale=C.UTF-8", "--no-sync", "--no-instructions",
            ),
            cwd="/", env=_ENVIRONMENT, check=True, stdout=subprocess.DEVNULL, timeout=120,
        )  # fmt: skip
        settings = _SETTINGS | {"port": str(self.port), "unix_socket_directories": str(folder)}
        if not durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        with (self.data / "postgresql.auto.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.start()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns when it takes connections. A child of ours, so that a killed one leaves no zombie and no lock."""
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:  # children of a killed one may still end
                with (self.folder / "log").open("ab") as log:
                    self._process = subprocess.Popen(
                        self._as_its_user("postgres", "-D", str(self.data)), cwd="/", env=_ENVIRONMENT,
                        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                    )  # fmt: skip
            try:
                psycopg.connect(self.dsn("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                time.sleep(0.05)
        raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:])

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """how: SIGTERM waits for clients, SIGINT ends them, SIGQUIT leaves what a crash leaves, SIGKILL is one."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def database(self, name: str = "", *, template: str = "template1") -> str:
        """A new database; returns its address."""
        name = name or f"test_{os.getpid()}_{next(self._numbers)}"
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return self.url(name)

    def drop(self, name: str) -> None:
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://grader@127.0.0.1:{self.port}/{name}"

    def dsn(self, name: str) -> str:
        return f"postgresql://grader@127.0.0.1:{self.port}/{name}"

    def close(self) -> None:
        self.stop(signal.SIGQUIT)

    def _as_its_user(self, program: str, *arguments: str) -> list[str]:
        command = [str(self.programs / program), *arguments]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]
        return command


def main(arguments: list[str]) -> int:
    """python -m tests.postgres COMMAND...: runs it with {database} as the address of a new database."""
    server = running()
    url = server.database()
    return subprocess.run([word.replace("{database}", url) for word in arguments], check=False).returncode


@functools.cache
def running() -> Server:
    """The one server of this process."""
    require()
    holder = tempfile.TemporaryDirectory(prefix="grader-postgres-", dir=_in_memory())
    os.chmod(holder.name, 0o755)
    server = Server(Path(holder.name))
    atexit.register(holder.cleanup)
    atexit.register(server.close)
    return server


def _in_memory() -> str | None:
    """Where a new database is copied three times as fast as on a disk; none where there is little room."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 << 30
    return str(memory) if roomy else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
