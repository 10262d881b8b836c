"""The commands of staff, backup and restore, and `grader smoke`, against a service of the kit."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import httpx
import pytest

from grader import cli, installation
from grader.errors import UsageError
from grader.settings import Settings
from grader.smoke import Client, ServerError
from grader.store import migrating
from grader.store.engine import Store
from grader.stories import Story, load

from .service import COURSE, NUMPY, SUMS, Kit, program

SUBMISSIONS = Path(__file__).resolve().parents[2] / "submissions"


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(kit: Kit, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """grader WORDS in this process, over the kit's database."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"GRADER_{name.upper()}", raising=False)
    monkeypatch.setenv("GRADER_DATABASE_URL", kit.service.store.url)
    monkeypatch.setenv("GRADER_REFERENCE_DIR", str(kit.service.catalogue._folder))
    monkeypatch.setenv("COLUMNS", "80")

    def grader(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["grader", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        out, err = capfdbinary.readouterr()
        return Ran(code if isinstance(code, int) else 0, out.decode(), err.decode())

    return grader


def good(ran: Ran) -> Ran:
    assert ran.code == 0, ran.err
    return ran


def refused(ran: Ran, *said: str) -> None:
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("grader: error: ")
    for words in said:
        assert words in ran.err


# People ------------------------------------------------------------------------------------------------------------


class TestUsers:
    def test_people_are_listed_with_their_courses(self, run: Run) -> None:
        everybody = {row["login"]: row for row in good(run("users", "list", "--json")).json}
        assert everybody["tina"]["courses"] == ["dl: ta"]
        assert everybody["chen"]["name"] == "陈晨"
        members = good(run("users", "list", "--course", COURSE, "--json")).json
        assert {row["login"] for row in members} == {"root", "teacher", "tina", "tom", "ada", "bob", "chen"}
        shown = good(run("users", "list")).out
        assert max(map(len, shown.split("\n"))) <= 80

    def test_somebody_new_signs_in_by_the_link_that_is_printed(self, run: Run, kit: Kit) -> None:
        ran = good(run("users", "add", "dora", "Dora Dorn", "--course", COURSE, "--section", "B"))
        link = ran.out.split()[-1]
        assert link.startswith("http://127.0.0.1:8000/sign-in/link/")
        with kit.browser() as browser:
            assert "Dora Dorn" in browser.get(link.removeprefix("http://127.0.0.1:8000")).text
        row = next(r for r in good(run("users", "list", "--json")).json if r["login"] == "dora")
        assert (row["courses"], row["active"], row["signed_in"]) == (["dl: student"], True, False)
        assert good(run("grades", "-c", COURSE, "--student", "dora", "--json")).json[0]["status"] == "missing"

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["ada", "Ada"], "There is a user ada already"),
            (["A B", "Ada"], "the login 'a b' may hold"),
            (["new", ""], "needs a name"),
            (["new", "New", "--role", "boss"], "roles are student, ta"),
            (["new", "New", "--course", "none"], "there is no course 'none'; there are: dl, other"),
        ],
    )
    def test_what_cannot_be_added(self, run: Run, words: list[str], said: str) -> None:
        refused(run("users", "add", *words), said)
        assert "new" not in {row["login"] for row in good(run("users", "list", "--json")).json}

    def test_a_new_link_ends_the_one_before(self, run: Run, kit: Kit) -> None:
        paths = [good(run("users", "link", "ada")).out.strip().removeprefix("http://127.0.0.1:8000") for _ in range(2)]
        with kit.browser() as browser:
            assert [browser.get(path).status_code for path in paths] == [404, 200]
        refused(run("users", "link", "nobody"), "there is no user 'nobody'")

    def test_who_is_disabled_is_out_at_once(self, run: Run, kit: Kit) -> None:
        with kit.client("ada") as ada, kit.browser("ada") as browser:
            assert ada.get("/api/v1/me").status_code == 200
            good(run("users", "disable", "ada"))
            assert ada.get("/api/v1/me").status_code == 401
            assert browser.get("/courses").status_code == 303
            refused(run("users", "link", "ada"), "--undo")
            good(run("users", "disable", "ada", "--undo"))
            assert ada.get("/api/v1/me").status_code == 200
            assert browser.get("/courses").status_code == 303  # the old session stays ended
        with kit.service.store.read() as session:
            actions = [row[0] for row in session.connection().exec_driver_sql("SELECT action FROM audit_events")]
        assert actions[-2:] == ["user.disable", "user.enable"]

    def test_names_cannot_steer_the_terminal(self, run: Run, kit: Kit) -> None:
        with kit.service.store.write() as session:
            nasty = "Eve\x1b[2J\x07\u202egnp.exe\r\nroot"
            session.connection().exec_driver_sql("UPDATE users SET name = ? WHERE login = 'ada'", (nasty,))
        for words in (("users", "list"), ("grades", "-c", COURSE)):
            shown = good(run(*words)).out
            assert "Eve" in shown
            assert not set(shown) & set("\x1b\x07\u202e\r")


class TestRoster:
    def test_a_file_is_shown_first_and_then_applied(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "people.csv"
        file.write_text("login,name,section\nada,Ada Abel,A\nnina,Nina 倪,C\nbob,Bob Birk,C\n", encoding="utf-8")
        would = good(run("roster", "import", file, "--course", COURSE, "--dry-run"))
        assert "1 would be added, 1 changed; 1 are as in the file." in would.out
        assert "nina" not in {row["login"] for row in good(run("users", "list", "--json")).json}
        rows = good(run("roster", "import", file, "--course", COURSE, "--json")).json
        assert [(row["login"], row["change"], row["link"] is not None) for row in rows] == [
            ("nina", "new", True), ("bob", "changed", False),
        ]  # fmt: skip
        assert "Nothing to change." in good(run("roster", "import", file, "--course", COURSE)).out

    def test_wrong_lines_are_named_and_nothing_is_changed(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "people.csv"
        file.write_text("login,name\nnina,Nina\nx y,Bad\n,None\n", encoding="utf-8")
        refused(run("roster", "import", file, "--course", COURSE), "nothing was changed", "Line 3: ", "Line 4: ")
        assert "nina" not in {row["login"] for row in good(run("users", "list", "--json")).json}
        refused(run("roster", "import", tmp_path / "none.csv", "--course", COURSE), "cannot be read")


class TestToken:
    def test_a_token_works_until_it_is_revoked(self, run: Run, kit: Kit) -> None:
        text = good(
            run("token", "make", "tom", "--name", "ci", "--scope", "grades:read", "--scope", "submit", "--days", 3)
        ).out
        rows = good(run("token", "list", "tom", "--json")).json
        assert (rows[-1]["name"], rows[-1]["scopes"]) == ("ci", "grades:read submit")
        assert text.strip() not in json.dumps(rows)
        headers = {"Authorization": f"Bearer {text.strip()}"}
        assert httpx.get(f"{kit.url}/api/v1/me", headers=headers, trust_env=False).status_code == 200
        good(run("token", "revoke", "tom", rows[-1]["id"]))
        assert httpx.get(f"{kit.url}/api/v1/me", headers=headers, trust_env=False).status_code == 401
        refused(run("token", "revoke", "tom", rows[-1]["id"]), "tom has no token")
        refused(run("token", "revoke", "tom", rows[0]["id"] - 1), "tom has no token")  # of somebody else
        refused(run("token", "make", "tom", "--name", "x", "--scope", "all"), "there is no scope 'all'", "submit")


# Courses, grades ---------------------------------------------------------------------------------------------------


class TestCourse:
    def test_a_course_is_made_and_hands_out(self, run: Run) -> None:
        made = good(
            run("course", "make", "nn", "--title", "Networks", "--timezone", "Asia/Shanghai", "--admin", "root")
        )
        assert "its administrator is root" in made.out
        said = good(run("course", "publish", "nn", SUMS, "--due", "2036-12-24 23:59", "--attempts", 5)).out
        assert "due 2036-12-24 23:59" in said
        assert "5 attempts" in said
        changed = good(run("course", "publish", "nn", SUMS, "--attempts", 0, "--counting", "latest")).out
        assert "due 2036-12-24 23:59" in changed
        assert "any number of attempts, the latest counts" in changed
        assert "without a deadline" in good(run("course", "publish", "nn", SUMS, "--due", "none")).out
        rows = {row["name"]: row for row in good(run("course", "list", "--json")).json}
        assert rows["nn"] == {
            "name": "nn", "title": "Networks", "timezone": "Asia/Shanghai", "students": 0, "assignments": [SUMS],
        }  # fmt: skip
        assert rows[COURSE]["students"] == 3

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["make", "nn", "--title", "N", "--admin", "nobody"], "there is no user 'nobody'"),
            (["make", "N N", "--title", "N", "--admin", "root"], "small letters"),
            (["make", "nn", "--title", "N", "--admin", "root", "--timezone", "Mars"], "no time zone 'Mars'"),
            (["publish", COURSE, "nothing"], "There is no assignment 'nothing'"),
            (["publish", COURSE, SUMS, "--due", "tomorrow"], "--due: 'tomorrow' is no time"),
            (["publish", COURSE, SUMS, "--release", "soon"], "--release: 'soon' is none of: at_once"),
            (["publish", COURSE, SUMS, "--due", "1999-01-01"], "after the opening"),
        ],
    )
    def test_what_cannot_be_done(self, run: Run, words: list[str], said: str) -> None:
        refused(run("course", *words), said)


class TestGrades:
    @pytest.fixture(autouse=True)
    def graded(self, kit: Kit) -> None:
        kit.hand_in("ada", program(fail=["add_works"]))
        kit.hand_in("chen", program())
        kit.grade()

    def test_filters_and_order(self, run: Run) -> None:
        def logins(*words: object) -> list[str]:
            return [row["login"] for row in good(run("grades", "-c", COURSE, "-a", SUMS, "--json", *words)).json]

        assert logins("--sort", "-score") == ["chen", "ada", "bob"]
        assert logins("--min-score", 60, "--max-score", 99) == ["ada"]
        assert logins("--status", "missing") == ["bob"]
        assert logins("--section", "B") == ["chen"]
        assert logins("--student", "ada") == ["ada"]

    def test_a_table_for_people(self, run: Run) -> None:
        shown = good(run("grades", "-c", COURSE, "-a", SUMS)).out
        assert "陈晨" in shown
        assert max(map(len, shown.split("\n"))) <= 80
        assert "No grade matches." in good(run("grades", "-c", COURSE, "--min-score", 1000)).out

    def test_csv_for_programs(self, run: Run) -> None:
        rows = list(csv.DictReader(io.StringIO(good(run("grades", "-c", COURSE, "--csv")).out)))
        assert {row["score"] for row in rows if row["login"] == "ada" and row["assignment"] == SUMS} == {"60"}
        canvas = list(csv.DictReader(io.StringIO(good(run("grades", "-c", COURSE, "--canvas")).out)))
        assert [row[SUMS] for row in canvas if row["SIS Login ID"] == "chen"] == ["100"]
        moodle = list(csv.DictReader(io.StringIO(good(run("grades", "-c", COURSE, "-a", SUMS, "--moodle")).out)))
        assert list(moodle[0]) == ["Username", "Full name", "Email address", SUMS]

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["-c", "none"], "there is no course 'none'"),
            (["-c", COURSE, "-a", "none"], "there is no assignment 'none' in dl"),
            (["-c", COURSE, "--status", "done"], "--status: 'done' is none of: missing"),
            (["-c", COURSE, "--sort", "luck"], "sort is one of"),
            (["-c", COURSE, "--csv", "--json"], "choose one"),
        ],
    )
    def test_wrong_usage(self, run: Run, words: list[str], said: str) -> None:
        refused(run("grades", *words), said)


class TestRegrade:
    def test_before_and_after_then_published(self, run: Run, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
        kit.hand_in("ada", program(fail=["add_works"]))
        kit.hand_in("bob", program())
        kit.grade()
        grade = kit.engine.grade

        def other(assignment: Any, file: str, data: bytes, **options: Any) -> Any:
            return grade(assignment, file, program(fail=["subtract_works"]), **options)

        monkeypatch.setattr(kit.engine, "grade", other)
        with kit.working():
            shown = good(run("regrade", "-c", COURSE, "-a", SUMS, "--reason", "the check was wrong")).out
        assert "2 graded again, 2 changed." in shown
        assert "Not published yet: grader regrade -c dl -a sums --publish" in shown
        (line,) = [line.split() for line in shown.split("\n") if line.strip().startswith("ada")]
        assert line[:5] == ["ada", "1", "60", "70", "add_works"]
        scores = {row["login"]: row["score"] for row in good(run("grades", "-c", COURSE, "-a", SUMS, "--json")).json}
        assert (scores["ada"], scores["bob"]) == (60, 100)
        refused(run("regrade", "-c", COURSE, "-a", SUMS, "--reason", "again"), "is not published or cancelled yet")
        done = good(run("regrade", "-c", COURSE, "-a", SUMS, "--publish", "--json")).json
        assert done["published"] is True
        changes = {row["login"]: (row["before"], row["after"]) for row in done["changes"]}
        assert changes == {"ada": (60, 70), "bob": (100, 70)}
        scores = {row["login"]: row["score"] for row in good(run("grades", "-c", COURSE, "-a", SUMS, "--json")).json}
        assert (scores["ada"], scores["bob"]) == (70, 70)

    def test_it_needs_a_reason_and_something_to_grade(self, run: Run, kit: Kit) -> None:
        refused(run("regrade", "-c", COURSE, "-a", SUMS), "Say why")
        refused(run("regrade", "-c", COURSE, "-a", SUMS, "--reason", "x"), "no submission to grade again")
        refused(run("regrade", "-c", COURSE, "-a", "none", "--reason", "x"), "there is no assignment 'none'")


# The database ------------------------------------------------------------------------------------------------------


def facts(file: Path) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        tables = ("users", "submissions", "reports", "blobs")
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}


class TestBackup:
    def test_under_load_nothing_that_was_accepted_before_is_missing(self, run: Run, kit: Kit, tmp_path: Path) -> None:
        accepted: list[int] = []
        done = threading.Event()

        def load(login: str) -> None:
            while not done.is_set():
                accepted.append(kit.hand_in(login, program(salt=f"{login} {len(accepted)}", seconds=0.003)))
                time.sleep(0.002)

        threads = [threading.Thread(target=load, args=(login,)) for login in ("ada", "bob", "chen")]
        with kit.working():
            for thread in threads:
                thread.start()
            try:
                for number in range(4):
                    time.sleep(0.2)
                    before = list(accepted)
                    good(run("backup", tmp_path / f"{number}.backup"))
                    with contextlib.closing(sqlite3.connect(tmp_path / f"{number}.backup")) as copy:
                        kept = {row[0] for row in copy.execute("SELECT id FROM submissions")}
                        jobs = {row[0] for row in copy.execute("SELECT submission_id FROM jobs")}
                        reused = {row[0] for row in copy.execute(
                            "SELECT submission_id FROM reports WHERE reused_from_id IS NOT NULL"
                        )}  # fmt: skip
                    assert set(before) <= kept
                    assert kept == jobs | reused  # a submission never without its job
                    facts(tmp_path / f"{number}.backup")
            finally:
                done.set()
                for thread in threads:
                    thread.join()
        assert len(accepted) > 8
        assert stat.S_IMODE((tmp_path / "0.backup").stat().st_mode) == 0o600
        assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []

    def test_a_file_that_is_there_is_not_written_over(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("precious")
        refused(run("backup", tmp_path / "taken"), "exists already")
        assert (tmp_path / "taken").read_text() == "precious"
        refused(run("backup", tmp_path / "no" / "folder"), "there is no folder")


class TestRestore:
    @pytest.fixture
    def copy(self, run: Run, kit: Kit, tmp_path: Path) -> Path:
        kit.hand_in("ada", program())
        kit.grade()
        good(run("backup", tmp_path / "copy"))
        kit.hand_in("bob", program(salt="later"))
        kit.service.store.close()
        return tmp_path / "copy"

    def test_what_was_is_there_again_and_what_came_later_is_kept_beside(
        self, run: Run, kit: Kit, copy: Path
    ) -> None:  # fmt: skip
        assert facts(kit.folder / "grader.sqlite")["submissions"] == 2
        ran = good(run("restore", copy, "--yes"))
        assert facts(kit.folder / "grader.sqlite") == facts(copy)
        (kept,) = kit.folder.glob("grader.sqlite.before-restore-*")
        assert str(kept) in ran.out
        assert facts(kept)["submissions"] == 2
        grades = good(run("grades", "-c", COURSE, "-a", SUMS, "--student", "ada", "--json")).json
        assert grades[0]["score"] == 100
        assert not list(kit.folder.glob("*restoring*"))

    def test_into_an_empty_folder(self, run: Run, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GRADER_DATABASE_URL", "")
        monkeypatch.setenv("GRADER_DATA_DIR", str(tmp_path / "new" / "var"))
        assert "Restored." in good(run("restore", copy, "--yes")).out
        assert facts(tmp_path / "new" / "var" / "grader.sqlite3") == facts(copy)
        assert stat.S_IMODE((tmp_path / "new" / "var" / "grader.sqlite3").stat().st_mode) == 0o600

    def test_a_damaged_database_is_kept_too(self, run: Run, kit: Kit, copy: Path) -> None:
        file = kit.folder / "grader.sqlite"
        data = bytearray(file.read_bytes())
        data[:64] = b"\xff" * 64
        file.write_bytes(data)
        good(run("restore", copy, "--yes"))
        assert facts(file) == facts(copy)
        (kept,) = kit.folder.glob("grader.sqlite.before-restore-*Z")
        assert kept.read_bytes() == bytes(data)

    def test_a_damaged_backup_changes_nothing(self, run: Run, kit: Kit, copy: Path) -> None:
        before = facts(kit.folder / "grader.sqlite")
        data = bytearray(copy.read_bytes())
        middle = len(data) // 2 // 4096 * 4096
        data[middle : middle + 8192] = b"\x55" * 8192
        copy.write_bytes(data)
        ran = run("restore", copy, "--yes")
        assert ran.code == 4
        assert "is damaged" in ran.err
        assert facts(kit.folder / "grader.sqlite") == before
        assert not list(kit.folder.glob("grader.sqlite.before-restore-*"))

    def test_what_is_no_backup(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("hello")
        refused(run("restore", tmp_path / "text", "--yes"), "is not an SQLite database")
        with contextlib.closing(sqlite3.connect(tmp_path / "other")) as other:
            other.execute("CREATE TABLE t (x)")
            other.commit()
        refused(run("restore", tmp_path / "other", "--yes"), "is not a database of Grader")
        refused(run("restore", tmp_path / "none", "--yes"), "cannot be read")

    def test_a_backup_of_a_newer_version_is_refused(self, run: Run, kit: Kit, copy: Path) -> None:
        with contextlib.closing(sqlite3.connect(copy)) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = 'of_the_future'")
        ran = run("restore", copy, "--yes")
        assert ran.code == 4
        assert "install the newer version" in ran.err
        assert facts(kit.folder / "grader.sqlite")["submissions"] == 2

    def test_not_while_it_is_used(self, run: Run, kit: Kit, copy: Path) -> None:
        with installation.using(kit.folder / "grader.sqlite"):
            ran = run("restore", copy, "--yes")
        assert ran.code == 2
        assert "is in use by grader serve, grader worker or another command; stop it first" in ran.err

    def test_it_asks_first(self, run: Run, kit: Kit, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
        ran = run("restore", copy)
        assert ran.code == 2
        assert "say --yes" in ran.err
        assert facts(kit.folder / "grader.sqlite")["submissions"] == 2


class TestSchema:
    @pytest.fixture
    def next_version(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A version of the program with one more step."""
        folder = tmp_path / "migrations"
        shutil.copytree(migrating.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "versions" / "2099_01_01_next.py").write_text(
            '"""A step of a test."""\nfrom alembic import op\nrevision = "next"\n'
            f'down_revision = "{migrating.newest()}"\n'
            'def upgrade():\n    op.execute("CREATE TABLE later (x INTEGER)")\n'
        )
        monkeypatch.setattr(migrating, "FOLDER", folder)

    @pytest.mark.usefixtures("next_version")
    def test_an_older_database_is_copied_and_upgraded(self, run: Run, kit: Kit) -> None:
        with kit.service.store.read() as session:
            before = session.connection().exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        kit.service.store.close()
        ran = run("users", "list")
        assert ran.code == 4
        assert "run: grader migrate" in ran.err
        said = good(run("migrate")).out
        (kept,) = kit.folder.glob("grader.sqlite.before-upgrade-*")
        assert str(kept) in said
        for file, version in ((kept, before), (kit.folder / "grader.sqlite", "next")):
            with contextlib.closing(sqlite3.connect(file)) as connection:
                assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (version,)
        assert "up to date" in good(run("migrate")).out
        assert len(list(kit.folder.glob("grader.sqlite.before-upgrade-*"))) == 1

    @pytest.mark.usefixtures("next_version")
    def test_not_while_something_uses_it(self, run: Run, kit: Kit) -> None:
        with installation.using(kit.folder / "grader.sqlite"):
            refused(run("migrate"), "stop it first so that the database can be upgraded")

    @pytest.mark.usefixtures("next_version")
    def test_an_older_backup_is_upgraded(self, kit: Kit, tmp_path: Path) -> None:
        kit.service.store.backup(tmp_path / "older")
        kit.service.store.close()
        installation.restore(tmp_path / "older", kit.service.store.url, datetime.now(UTC))
        store = Store(kit.service.store.url)
        assert migrating.version(store) == "next"
        store.close()

    def test_a_database_of_a_newer_version_is_refused(self, run: Run, kit: Kit) -> None:
        with kit.service.store.write() as session:
            session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = 'of_the_future'")
        kit.service.store.close()
        for words in (["migrate"], ["users", "list"]):
            ran = run(*words)
            assert ran.code == 4
            assert "of_the_future" in ran.err

    def test_a_copy_that_cannot_be_checked_is_not_kept(self, kit: Kit, tmp_path: Path) -> None:
        with kit.service.store.write() as session:
            session.connection().exec_driver_sql("DROP TABLE instance")
        with pytest.raises(UsageError, match="not a database of Grader"):
            installation.backup(kit.service.store, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()


# Smoke -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def story(tmp_path: Path) -> Callable[..., Path]:
    """Writes a story of the kit's assignment; returns the folder of all stories."""

    def write(name: str, score: float, *, data: bytes, **more: str) -> Path:
        folder = tmp_path / "stories" / SUMS / name
        folder.mkdir(parents=True)
        (folder / "hw.py").write_bytes(data)
        add, subtract = (0, score) if score <= 60 else (40, score - 40)
        lines = [f"{key} = {value}" for key, value in more.items()]
        (folder / "expected.toml").write_text(
            f'about = "A test."\nkind = "mistake"\nfile = "hw.py"\nstatus = "graded"\nscore = {score}\n'
            + "\n".join(lines) + f"\n[parts]\nadd = {add}\nsubtract = {subtract}\n"
        )  # fmt: skip
        return tmp_path / "stories"

    return write


class TestSmoke:
    @pytest.fixture(autouse=True)
    def shown_at_once(self, kit: Kit) -> Iterator[None]:
        kit.rules(SUMS, release="at_once")
        with kit.working():
            yield

    def smoke(self, run: Run, kit: Kit, folder: Path, *words: object, login: str = "ada") -> Ran:
        to = ("--server", kit.url, "--token", kit.tokens[login], "--course", COURSE, "--stories", folder)
        return run("smoke", *to, *words)

    def test_what_is_as_expected_and_what_is_not(
        self, run: Run, kit: Kit, story: Callable[..., Path], tmp_path: Path
    ) -> None:  # fmt: skip
        story("good", 100, data=program())
        story("named", 60, data=program(fail=["add_works"], mistake="swapped"), mistakes='["swapped"]')
        folder = story("wrong", 100, data=program(fail=["add_works"]), message='["never said"]')
        ran = self.smoke(run, kit, folder, "--junit", tmp_path / "junit.xml")
        assert ran.code == 1
        assert "2 as expected, 1 different, 0 skipped." in ran.out
        assert f"{SUMS}/wrong: A test.\n  score: got 60, expected 100\n" in ran.out
        assert "nothing says 'never said'" in ran.out
        (suite,) = ElementTree.parse(tmp_path / "junit.xml").getroot()
        assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
        assert [case.get("name") for case in suite if case.find("failure") is not None] == ["wrong"]
        assert self.smoke(run, kit, folder, "--only", "good", "--only", f"{SUMS}/named").code == 0

    def test_staff_need_no_attempts(self, run: Run, kit: Kit, story: Callable[..., Path]) -> None:
        kit.rules(SUMS, attempt_limit=1)
        story("one", 100, data=program(salt="1"))
        folder = story("two", 100, data=program(salt="2"))
        student = self.smoke(run, kit, folder)
        assert student.code == 1
        assert "the file was not taken: You have used all 1 attempts" in " ".join(student.out.split())
        assert self.smoke(run, kit, folder, login="tina").code == 0

    def test_it_waits_when_the_service_asks_it_to(self, kit: Kit, story: Callable[..., Path]) -> None:
        kit.service.uploads_a_minute = 1
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            kit.service.uploads_a_minute = 10_000

        story("one", 100, data=program(salt="1"))
        folder = story("two", 100, data=program(salt="2"))
        client = Client(server=kit.url, token=kit.tokens["ada"], course=COURSE, own=True, sleep=sleep)
        results = [client.tell(load(folder / SUMS / name)) for name in ("one", "two")]
        client.close()
        assert [result.differences for result in results] == [(), ()]
        assert len(slept) == 1
        assert 30 < slept[0] <= 60

    def test_a_report_that_takes_longer_than_one_request_waits(self, kit: Kit, story: Callable[..., Path]) -> None:
        folder = story("slow", 100, data=program(seconds=0.8))
        client = Client(server=kit.url, token=kit.tokens["ada"], course=COURSE, own=True)
        found = client._send

        def impatient(method: str, path: str, **options: Any) -> httpx.Response:
            options.get("headers", {}).pop("Prefer", None)  # so that the answer comes at once
            return found(method, path, **options)

        client._send = impatient  # type: ignore[method-assign]
        result = client.tell(load(folder / SUMS / "slow"))
        client.close()
        assert result.good
        assert result.seconds > 0.7

    def test_wrong_usage(self, run: Run, kit: Kit, story: Callable[..., Path], tmp_path: Path) -> None:
        folder = story("good", 100, data=program())
        refused(run("smoke", "--server", kit.url), "needs --token")
        refused(self.smoke(run, kit, folder, "--only", "none"), "there is no such story")
        refused(self.smoke(run, kit, folder, "--course", "none"), "nothing was handed in")
        refused(run("smoke", "--server", kit.url, "--token", "x", "--stories", folder), "does not take the token")
        (folder / SUMS / "good" / "expected.toml").write_text("about = 1\n")
        refused(self.smoke(run, kit, folder), "about: a text is needed")

    def test_a_server_that_is_not_there(self, tmp_path: Path, story: Callable[..., Path]) -> None:
        one: Story = load(story("good", 100, data=program()) / SUMS / "good")
        client = Client(server="http://127.0.0.1:9", token="t", course=COURSE, own=True, sleep=lambda _: None)
        with pytest.raises(ServerError, match="cannot be reached"):
            client.tell(one)
        client.close()


@pytest.mark.sandbox
@pytest.mark.usefixtures("sandbox")
def test_smoke_starts_a_service_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    for name in Settings.model_fields:
        monkeypatch.delenv(f"GRADER_{name.upper()}", raising=False)
    words = ["two_mistakes", "not_json", "correct_zip_from_a_mac"]
    chosen = [word for name in words for word in ("--only", f"{NUMPY}/{name}")]
    monkeypatch.setattr(sys, "argv", ["grader", "smoke", *chosen])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out = capfd.readouterr().out
    assert ended.value.code in (0, None), out
    assert "3 as expected, 0 different, 0 skipped." in out
