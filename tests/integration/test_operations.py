"""Every command of the pages about backups and upgrades, run by a shell on databases of the test's own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from alembic import command
from sqlalchemy import func, insert, select, text

from grader import cli, installation, moving
from grader.errors import StoreError, UsageError
from grader.queue.choosing import queue_of
from grader.settings import Settings
from grader.store import migrating, verifying
from grader.store.codec import pack
from grader.store.engine import Store
from grader.store.models import Blob, Job, StoredReport, Submission, User
from grader.store.states import JobState, SubmissionState
from tests import postgres

from .service import PROJECT, Kit, make_kit, program

pytestmark = pytest.mark.sqlite  # it has both databases, whichever the run is for
BACKUPS = PROJECT / "docs" / "how-to" / "back-up-and-restore.md"
UPGRADE = PROJECT / "docs" / "how-to" / "upgrade.md"
AS_POSTGRES = "setpriv --reuid=postgres --regid=postgres --init-groups --" if os.getuid() == 0 else ""
SUDO = f'sudo() {{ if [ "$1" = -u ]; then shift 2; {AS_POSTGRES} "$@"; else "$@"; fi; }}\n'


def sections(page: Path) -> dict[str, list[str]]:
    """{heading: its shell blocks}; a step's block is indented."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^#+ ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        blocks = re.findall(r"^( *)```sh\n(.*?)^ *```$", body, re.MULTILINE | re.DOTALL)
        found[heading] = [re.sub(f"^{indent}", "", block, flags=re.MULTILINE) for indent, block in blocks]
    return found


@dataclass
class Shell:
    """Runs commands of a page in a folder. swaps: what stands in the page, and what the test has in its place."""

    folder: Path
    swaps: dict[str, str]
    env: dict[str, str]
    grader: Callable[[list[str]], str]
    server: postgres.Server | None = None
    done: set[str] = field(default_factory=set)

    def run(self, block: str, **also: str) -> str:
        self.done.add(block)
        for said, meant in {**also, **self.swaps}.items():
            block = block.replace(said, meant)
        printed = ""
        for piece in re.split(r"^(sudo systemctl \w+ postgresql|\.venv/bin/grader .*)\n", block, flags=re.MULTILINE):
            if piece.startswith("sudo systemctl"):
                self._control(piece.split()[2])
            elif piece.startswith(".venv"):
                words = self._bash("printf '%s\\n' " + piece.removeprefix(".venv/bin/grader"))
                printed += self.grader(words.split("\n")[:-1])
            elif piece.strip():
                self.env |= dict(re.findall(r"^export (\w+)=(.*)$", piece, re.MULTILINE))
                printed += self._bash(piece)
        return printed

    def _bash(self, text: str) -> str:
        ran = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", SUDO + text], cwd=self.folder, env=self.env,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, f"{text}\n{ran.stdout[-1000:]}{ran.stderr[-2000:]}"
        return ran.stdout

    def _control(self, verb: str) -> None:
        assert self.server is not None
        if verb in ("stop", "restart"):
            self.server.stop(signal.SIGINT)
        if verb in ("start", "restart"):
            self.server.start()


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that the user postgres may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="grader-operations-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def kept(folder: Path) -> Iterator[Kit]:
    """A service with var/grader.sqlite3: a graded submission, one that waits, one whose worker is gone."""
    (folder / "kit").mkdir()
    (folder / "var").mkdir()
    made = make_kit(folder / "kit")
    made.hand_in("ada", program(salt="graded"))
    made.grade()
    made.hand_in("bob", program(salt="was being graded"))
    assert made.service.queue.take("gone", ["numpy"]) is not None
    made.hand_in("chen", program(salt="waits"))
    made.service.store.backup(folder / "var" / "grader.sqlite3")
    yield made
    made.close()


@pytest.fixture
def shell(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Commands of Grader run in this process: importing all of it again would be most of the test's time."""
    path = f"{postgres.programs() or ''}:/usr/bin:/bin"
    env = {"PATH": path, "HOME": str(folder), "LC_ALL": "C.UTF-8", "GRADER_DATA_DIR": str(folder / "var")}
    for name in Settings.model_fields:
        monkeypatch.delenv(f"GRADER_{name.upper()}", raising=False)
    monkeypatch.chdir(folder)

    def grader(words: list[str]) -> str:
        with monkeypatch.context() as patch:
            for name, value in made.env.items():
                if name.startswith("GRADER_"):
                    patch.setenv(name, value)
            patch.setattr(sys, "argv", ["grader", *words])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        out, err = capsys.readouterr()
        assert ended.value.code in (0, None), err
        return out

    made = Shell(folder, {}, env, grader)
    return made


@pytest.fixture
def server(folder: Path, shell: Shell) -> Iterator[postgres.Server]:
    postgres.require()
    (folder / "cluster").mkdir(mode=0o755)
    made = postgres.Server(folder / "cluster")
    shell.server = made
    shell.env |= {"PGHOST": "127.0.0.1", "PGPORT": str(made.port), "PGUSER": "grader", "PGDATABASE": "postgres"}
    shell.swaps |= {
        "/srv/backups": str(folder / "backups"),
        "/var/lib/postgresql/15/main": str(made.data),
        "grader:PASSWORD@127.0.0.1:5432": f"grader@127.0.0.1:{made.port}",
    }
    if os.getuid() != 0:
        shell.swaps["-o postgres -g postgres "] = ""
    yield made
    made.close()


@pytest.fixture
def empty() -> Iterator[Store]:
    store = Store(postgres.running().database())
    yield store
    store.close()
    postgres.running().drop(store.url.rpartition("/")[2])


@contextlib.contextmanager
def on(kit: Kit, url: str) -> Iterator[Kit]:
    """The kit's service over another database with the same people."""
    store = Store(url)
    queue = queue_of(store)
    service = replace(kit.service, store=store, queue=queue)
    worker = replace(kit.worker, store=store, queue=queue, _threads=[], _running={}, _progress={})
    other = Kit(
        service=service, worker=replace(worker, _stopping=threading.Event()), engine=kit.engine, tokens=kit.tokens,
        ids=kit.ids, folder=kit.folder,
    )  # fmt: skip
    try:
        yield other
    finally:
        for client in other._clients:
            client.close()
        if other._server is not None:
            other._server[0].should_exit = True
            other._server[1].join(10)
        store.close()


def states(store: Store) -> list[str]:
    with store.read() as session:
        return [str(state) for state in session.scalars(select(Submission.state).order_by(Submission.id))]


# The pages ---------------------------------------------------------------------------------------------------------


def test_commands_for_sqlite(kept: Kit, shell: Shell, folder: Path) -> None:
    page = sections(BACKUPS)
    assert "Uploads: 3, reports: 1; each is what was stored." in shell.run(page["Back up and restore"][0])
    (backup,), (restore,) = page["SQLite: back up"], page["SQLite: restore"]
    assert "checked" in shell.run(backup)
    (copy,) = folder.glob("backup-*.sqlite3")
    with contextlib.closing(sqlite3.connect(folder / "var" / "grader.sqlite3")) as connection, connection:
        connection.execute("DELETE FROM check_results")
    assert "Restored. The database as it was:" in shell.run(restore, **{"backup-2026-11-22.sqlite3": copy.name})
    with on(kept, f"sqlite:///{folder}/var/grader.sqlite3") as restored:
        restored.grade()
        assert states(restored.service.store)[::2] == ["graded", "graded"]


def test_commands_for_postgresql(kept: Kit, shell: Shell, server: postgres.Server, folder: Path) -> None:
    page = sections(BACKUPS)
    (move,) = page["From SQLite to PostgreSQL"]
    moved = shell.run(move)
    assert "Uploads: 3, reports: 1; each is what was stored." in moved
    _is_put_away(shell, folder / "var" / "grader.sqlite3", moved)
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute("ALTER DATABASE grader_moved RENAME TO grader")
    dump, make, check = page["PostgreSQL: dump"]
    shell.run(dump)
    shell.run(make)
    assert "Uploads: 3, reports: 1; each is what was stored." in shell.run(check)
    with on(kept, server.url("grader_restored")) as restored:
        restored.grade()
        assert states(restored.service.store) == ["graded"] * 3

    archive, base, look = page["PostgreSQL: back to any moment"]
    shell.run(archive)
    shell.run(base)
    with on(kept, server.url("grader")) as service:
        number = service.hand_in("ada", program(salt="after the base backup"))
        service.grade()
        assert service.hand_in("bob", program(salt="waits again")) == number + 1
    with psycopg.connect(server.dsn("grader"), autocommit=True) as admin:
        noted = str(admin.execute("SELECT clock_timestamp()").fetchall()[0][0])
        admin.execute("DROP TABLE check_results; DELETE FROM jobs; DROP TABLE blobs CASCADE")
        admin.execute("SELECT pg_switch_wal()")
    aside, target, forget = page["Recover"]
    shell.run(aside)
    shell.run(target, **{"2026-11-22 14:05:29+08:00": noted})
    _wait_until_writable(server)
    shell.env["GRADER_DATABASE_URL"] = server.url("grader")
    assert "Uploads: 5, reports: 4; each is what was stored." in shell.run(forget)
    with on(kept, server.url("grader")) as recovered:
        assert states(recovered.service.store) == ["graded"] * 4 + ["queued"]
        recovered.grade()
        with recovered.client("bob") as bob:
            assert bob.get(f"/api/v1/submissions/{number + 1}").json()["state"] == "graded"
    assert re.search(r"^ +[1-9]\d* \| +0$", shell.run(look), re.MULTILINE)
    assert shell.done == {block for heading in list(page)[1:] if "SQLite:" not in heading for block in page[heading]}


def _is_put_away(shell: Shell, file: Path, said: str) -> None:
    """What was moved is served no more: nobody would see what is graded there. The file is a good copy."""
    (copy,) = file.parent.glob("grader.sqlite3.moved-*")
    assert f"nobody should serve any more: {copy}\n" in said
    assert not file.exists()
    installation.check(copy)
    with pytest.raises(UsageError, match=rf"was moved to PostgreSQL; set GRADER_DATABASE_URL .* is {copy}"):
        installation.open_store(f"sqlite:///{file}", make=True)
    assert not file.exists()


def _wait_until_writable(server: postgres.Server) -> None:
    """It takes readers before it has reached the target."""
    with psycopg.connect(server.dsn("grader"), autocommit=True) as connection:
        while connection.execute("SELECT pg_is_in_recovery()").fetchall()[0][0]:
            connection.execute("SELECT pg_sleep(0.05)")


def test_commands_of_an_upgrade(kept: Kit, shell: Shell, empty: Store, folder: Path) -> None:
    """On PostgreSQL while it is used, and back on SQLite."""
    page = sections(UPGRADE)
    older = empty
    shell.env["GRADER_DATABASE_URL"] = older.url
    command.upgrade(migrating.configuration(older), "0001")
    person = {"name": "Ada", "session_epoch": 0, "active": True, "created_at": datetime.now(UTC)}
    address = older.url.replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as old_process, older.write() as session:
        session.execute(insert(User), [{"login": "before", **person}])
        session.commit()
        with pytest.raises(StoreError, match="run: grader migrate"):
            migrating.require_newest(older)
        (migrate,) = page["Several machines, PostgreSQL"]
        assert "Brought the schema from 0001 to " in shell.run(migrate)
        columns = "login, name, session_epoch, active, created_at"
        old_process.execute(f"INSERT INTO users ({columns}) VALUES ('after', 'Bob', 0, true, now())")
        assert session.scalar(select(func.count()).select_from(User)) == 2
    before = page["Before"][0]
    version, _, verify = before.splitlines()
    assert "grader " in shell.run(f"{version}\n")
    assert "Uploads: 0, reports: 0" in shell.run(f"{verify}\n")
    with older.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="does not know; install the newer version"):
        migrating.require_newest(older)  # what an older program says after the migration

    del shell.env["GRADER_DATABASE_URL"]
    file = folder / "var" / "grader.sqlite3"
    store = Store(f"sqlite:///{file}")
    command.downgrade(migrating.configuration(store), "0001")
    copy = installation.bring_up_to_date(store, datetime.now(UTC))
    store.close()
    assert copy is not None
    _, back = page["One machine, SQLite"]
    assert "Restored." in shell.run(back, **{"before-upgrade-TIME": copy.name.removeprefix("grader.sqlite3.")})


# verify ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda s: s.query(Blob).update({"data": pack(b"another")}),
            r"upload .* \(of submission \d\) is not what was handed in",
        ),
        (
            lambda s: s.query(Blob).update({"data": Blob.data.op("||")(b"behind")}),
            r"upload .* \(of submission \d\) is not what was handed in",
        ),
        (lambda s: s.query(StoredReport).update({"content": b"x"}), "report 1 of submission 1 cannot be read"),
        (
            lambda s: s.query(StoredReport).update({"content": StoredReport.content.op("||")(b"behind")}),
            "report 1 of submission 1 cannot be read",
        ),
        (lambda s: s.query(Submission).update({"report_id": 77}), "current report of submission 1 is not there"),
        (lambda s: s.execute(text("DELETE FROM procrastinate_jobs")), "would never be graded"),
    ],
    ids=["upload", "behind an upload", "report", "behind a report", "pointer", "job"],
)
def test_verify_names_what_is_damaged(kept: Kit, empty: Store, damage: Callable[[object], None], said: str) -> None:
    found = moving.move(kept.service.store, empty)
    assert (found.uploads, found.reports) == (3, 1)
    with empty.write() as session:
        damage(session)
    with pytest.raises(StoreError, match=said):
        verifying.verify(empty)


# move --------------------------------------------------------------------------------------------------------------


def test_a_moved_service_goes_on(kept: Kit, empty: Store) -> None:
    """Tokens, what waited, what ran, and numbers after those that were given."""
    moving.move(kept.service.store, empty)
    with on(kept, empty.url) as moved:
        waiting = [SubmissionState.QUEUED] * 2
        assert states(empty) == [SubmissionState.GRADED, *waiting]
        assert moved.hand_in("ada", program(salt="new")) == 4
        moved.grade()
        assert states(empty) == ["graded"] * 4
        with moved.client("ada") as ada:
            assert ada.get("/api/v1/submissions/1").json()["score"] == 70  # of 100, hidden checks aside
        with empty.read() as session:
            assert session.scalars(select(Job.state).distinct()).all() == [JobState.DONE]
    assert verifying.verify(empty).reports == 4
    assert states(kept.service.store)[2] == SubmissionState.QUEUED  # the file is only read


def test_a_database_with_something_in_it_is_not_moved_into(kept: Kit, empty: Store) -> None:
    moving.move(kept.service.store, empty)
    with pytest.raises(UsageError, match=r"is not empty \(uploads are in it\); make an empty database"):
        moving.move(kept.service.store, empty)
    with pytest.raises(UsageError, match="a file of SQLite is moved to PostgreSQL"):
        moving.move(empty, kept.service.store)


def test_what_postgresql_cannot_keep_in_a_text_is_moved_with_a_sign_for_it(kept: Kit, empty: Store) -> None:
    with kept.service.store.write() as session:
        session.get_one(Submission, 2).file_name = "a\0b.py"
    moving.move(kept.service.store, empty)
    with empty.read() as session:
        assert session.get_one(Submission, 2).file_name == "a\ufffdb.py"


def test_a_move_that_fails_leaves_nothing(kept: Kit, empty: Store) -> None:
    """SQLite holds texts that are longer than their column; PostgreSQL refuses these."""
    with kept.service.store.write() as session:
        session.get_one(Submission, 2).file_name = "a" * 300
    with pytest.raises(StoreError, match="does not take a row of submissions"):
        moving.move(kept.service.store, empty)
    with empty.read() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 0
    with kept.service.store.write() as session:
        session.get_one(Submission, 2).file_name = "b.py"
        session.get_one(Blob, session.get_one(Submission, 2).blob_digest).data = pack(b"another")
    with pytest.raises(StoreError, match=r"of submission 2.* is not what was handed in"):
        moving.move(kept.service.store, empty)
    with empty.read() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 0
