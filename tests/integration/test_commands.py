"""The commands of staff, backup and restore, and `grader smoke`, against a service of the kit."""

from __future__ import annotations

import contextlib
import csv
import io
import json
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
from sqlalchemy import select, text

from grader import cli, installation
from grader.errors import StoreError, UsageError
from grader.service import publishing
from grader.service.access import SHELL
from grader.settings import Settings
from grader.smoke import Client, ServerError
from grader.store import migrating
from grader.store.codec import pack
from grader.store.engine import Store
from grader.store.models import AuditEvent, Grade, Published
from grader.stories import Story, load
from tests import databases, postgres

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
            (["new", "New", "--role", "ta"], "name it with --course"),
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

    def test_a_course_keeps_an_administrator_who_may_sign_in(self, run: Run) -> None:
        refused(run("users", "disable", "root"), "root is the only administrator of dl who may sign in")
        good(run("users", "add", "rita", "Rita", "--course", COURSE, "--role", "admin"))
        good(run("users", "disable", "root"))
        refused(run("users", "disable", "rita"), "rita is the only administrator of dl")
        refused(run("course", "remove-member", "-c", COURSE, "rita"), "without an administrator")

    def test_links_lead_to_where_the_service_was_started_last(
        self, run: Run, kit: Kit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        installation.keep_address(kit.service.store, "http://127.0.0.1:8123")
        assert good(run("users", "link", "ada")).out.startswith("http://127.0.0.1:8123/sign-in/link/")
        installation.keep_address(kit.service.store, "https://grader.example.org")
        assert good(run("users", "link", "ada")).out.startswith("https://grader.example.org/sign-in/link/")
        monkeypatch.setenv("GRADER_PUBLIC_URL", "https://other.example.org")
        assert good(run("users", "link", "ada")).out.startswith("https://other.example.org/sign-in/link/")

    def test_names_cannot_steer_the_terminal(self, run: Run, kit: Kit) -> None:
        with kit.service.store.write() as session:
            nasty = "Eve\x1b[2J\x07\u202egnp.exe\r\nroot"
            session.connection().execute(text("UPDATE users SET name = :name WHERE login = 'ada'"), {"name": nasty})
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
        assert rows[1]["changes"] == ["section: A -> C"]
        assert "Nothing to change." in good(run("roster", "import", file, "--course", COURSE)).out

    def test_a_change_of_role_is_a_warning_of_its_own(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "people.csv"
        file.write_text("login,name,section,role\nada,Ada Abel,A,instructor\n", encoding="utf-8")
        would = good(run("roster", "import", file, "--course", COURSE, "--dry-run")).out
        assert "\nWarning: ada: student -> instructor; their grades are no longer listed\n" in would
        assert "role: student -> instructor" in " ".join(would.split())
        ran = good(run("roster", "import", file, "--course", COURSE, "--json"))
        assert ran.json[0]["changes"] == ["role: student -> instructor"]
        assert "no longer listed" in ran.err

    def test_new_links_for_those_who_never_came(self, run: Run, kit: Kit, tmp_path: Path) -> None:
        assert "Everybody has signed in." in good(run("roster", "links", "--course", COURSE)).out
        file = tmp_path / "people.csv"
        file.write_text("login,name,email\nnina,=Nina,n@example.org\nada,Ada Abel,\n", encoding="utf-8")
        first = good(run("roster", "import", file, "--course", COURSE, "--json")).json[0]["link"]
        (row,) = good(run("roster", "links", "--course", COURSE, "--json")).json
        assert (row["login"], row["name"], row["email"]) == ("nina", "=Nina", "n@example.org")
        (line,) = csv.DictReader(io.StringIO(good(run("roster", "links", "--course", COURSE, "--csv")).out))
        assert (line["login"], line["name"]) == ("nina", "'=Nina")
        last = good(run("roster", "links", "--course", COURSE)).out.split()[-1]
        with kit.browser() as browser:
            paths = [link.removeprefix("http://127.0.0.1:8000") for link in (first, row["link"], line["link"], last)]
            assert [browser.get(path).status_code for path in paths] == [404, 404, 404, 200]
        refused(run("roster", "links", "--course", COURSE, "--csv", "--json"), "choose one")

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

    def test_only_administrators_get_one_for_the_metrics(self, run: Run) -> None:
        for login in ("ada", "teacher"):
            ran = run("token", "make", login, "--name", "x", "--scope", "metrics")
            refused(ran, f"the scope metrics is for administrators, and {login} is none")
        good(run("token", "make", "root", "--name", "x", "--scope", "metrics"))


# Courses, grades ---------------------------------------------------------------------------------------------------


def last_event(kit: Kit) -> AuditEvent:
    with kit.service.store.read() as session:
        return session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc()).limit(1)).one()


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
            (
                ["publish", COURSE, SUMS, "--due", "1999-01-01"],
                "due date 1999-01-01 00:00 has passed; it must be after",
            ),
            (["publish", COURSE, SUMS, "--attempts", 1001], "0 for any number"),
            (["publish", COURSE, SUMS, "--attempts", -1], "0 for any number"),
            (["publish", COURSE, SUMS, "--due", "none", "--late-days", 2], "give --due too"),
            (["change", "--course", COURSE], "give --title, --timezone or both"),
            (["change", "--course", COURSE, "--timezone", "Mars"], "no time zone 'Mars'"),
            (["change", "--course", COURSE, "--title", " "], "title"),
            (["remove-member", "--course", COURSE, "otto"], "Nobody called 'otto'"),
            (["unpublish", "--course", COURSE, "none"], "there is no assignment 'none'"),
        ],
    )
    def test_what_cannot_be_done(self, run: Run, words: list[str], said: str) -> None:
        refused(run("course", *words), said)

    def test_every_rule_is_said_with_the_offset_of_the_zone(self, run: Run) -> None:
        good(run("course", "make", "nn", "--title", "Networks", "--timezone", "Asia/Shanghai", "--admin", "root"))
        rules = ["--opens", "2026-01-05", "--due", "2036-12-24 23:59", "--late-days", 2, "--late-percent", 10]
        said = good(run("course", "publish", "nn", SUMS, *rules, "--attempts", 1, "--release", "after_due")).out
        assert said == (
            "sums in nn: opens 2026-01-05 00:00 UTC+08:00, due 2036-12-24 23:59 UTC+08:00, 2 late days, each day costs "
            "10% of the score, 1 attempt, the best counts, hidden checks are shown after due.\n"
        )
        passed = good(run("course", "publish", "nn", SUMS, "--due", "2026-02-01 12:00")).out
        assert "Warning: the due date 2026-02-01 12:00 has passed." in passed

    def test_a_title_and_a_zone_are_changed(self, run: Run, kit: Kit) -> None:
        good(run("course", "change", "--course", COURSE, "--title", "Networks", "--timezone", "Asia/Tokyo"))
        (row,) = (row for row in good(run("course", "list", "--json")).json if row["name"] == COURSE)
        assert (row["title"], row["timezone"]) == ("Networks", "Asia/Tokyo")
        event = last_event(kit)
        assert (event.action, event.after) == ("course.change", {"title": "Networks", "timezone": "Asia/Tokyo"})

    def test_a_member_who_handed_in_nothing_is_taken_out(self, run: Run, kit: Kit) -> None:
        kit.hand_in("ada", program())
        refused(run("course", "remove-member", "-c", COURSE, "ada"), "ada has handed in files")
        good(run("course", "remove-member", "-c", COURSE, "bob"))
        assert (last_event(kit).action, last_event(kit).subject) == ("roster.remove", "bob")
        assert "bob" not in {row["login"] for row in good(run("users", "list", "-c", COURSE, "--json")).json}
        assert good(run("grades", "-c", COURSE, "--student", "bob", "--json")).json == []
        with kit.client("bob") as bob:
            assert bob.get(f"/api/v1/courses/{COURSE}").status_code == 404
        with kit.service.store.read() as session:
            assert not session.scalars(select(Grade).where(Grade.user_id == kit.ids["bob"])).all()

    def test_an_assignment_for_which_nothing_came_is_taken_back(self, run: Run, kit: Kit) -> None:
        kit.hand_in("ada", program())
        refused(run("course", "unpublish", "-c", COURSE, SUMS), "Files were handed in for sums")
        good(run("course", "unpublish", "-c", COURSE, NUMPY))
        assert (last_event(kit).action, last_event(kit).subject) == ("assignment.unpublish", NUMPY)
        (row,) = (row for row in good(run("course", "list", "--json")).json if row["name"] == COURSE)
        assert NUMPY not in row["assignments"]
        assert {row["assignment"] for row in good(run("grades", "-c", COURSE, "--json")).json} >= {SUMS}

    def test_a_score_that_was_set_stays(self, run: Run, kit: Kit) -> None:
        with kit.service.store.write() as session:
            published = session.scalars(select(Published).where(Published.name == NUMPY)).first()
            assert published is not None
            publishing.override(session, SHELL, published, "bob", 5, "oral", kit.service.now(), max_score=100)
        refused(run("course", "remove-member", "-c", COURSE, "bob"), "A score was set by hand")
        refused(run("course", "unpublish", "-c", COURSE, NUMPY), "A score was set by hand")


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


@pytest.mark.sqlite
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


@pytest.mark.sqlite
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

    @pytest.mark.parametrize(
        ("table", "column", "said"),
        [("blobs", "data", "is not what was handed in"), ("reports", "content", "cannot be read")],
    )
    def test_a_flipped_byte_is_found(
        self, run: Run, kit: Kit, copy: Path, tmp_path: Path, table: str, column: str, said: str
    ) -> None:
        """SQLite itself does not notice: the pages hang together as before."""
        with contextlib.closing(sqlite3.connect(copy)) as connection, connection:
            number, data = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchone()
            flipped = bytearray(data)
            flipped[len(data) // 2] ^= 1
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (bytes(flipped), number))
        before = facts(kit.folder / "grader.sqlite")
        ran = run("restore", copy, "--yes")
        assert (ran.code, ran.out) == (4, "")
        assert f"{copy} is damaged: the " in ran.err
        assert "submission 1" in ran.err
        assert said in ran.err
        assert facts(kit.folder / "grader.sqlite") == before
        assert not list(kit.folder.glob("grader.sqlite.before-restore-*"))
        damaged = Store(f"sqlite:///{copy}")
        with pytest.raises(StoreError, match=said):
            installation.backup(damaged, tmp_path / "another")
        damaged.close()
        assert not (tmp_path / "another").exists()

    def test_an_upload_that_another_one_took_the_place_of_is_found(self, run: Run, copy: Path) -> None:
        with contextlib.closing(sqlite3.connect(copy)) as connection, connection:
            connection.execute("UPDATE blobs SET data = ?", (pack(program(salt="another")),))
        assert "is not what was handed in" in run("restore", copy, "--yes").err

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
        assert (ran.code, ran.out) == (2, "")
        assert "is in use by grader serve, grader worker or another command; stop it first" in ran.err

    def test_it_asks_first(self, run: Run, kit: Kit, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
        ran = run("restore", copy)
        assert ran.code == 2
        assert "say --yes" in ran.err
        assert facts(kit.folder / "grader.sqlite")["submissions"] == 2


class TestSchema:
    @pytest.mark.sqlite
    @pytest.mark.usefixtures("next_version")
    def test_an_older_database_is_copied_and_upgraded(self, run: Run, kit: Kit) -> None:
        with kit.service.store.read() as session:
            before = session.connection().exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        kit.service.store.close()
        ran = run("users", "list")
        assert ran.code == 4
        assert "run: grader migrate" in ran.err
        said = good(run("migrate")).out
        assert f"Database {kit.folder}/grader.sqlite\nBrought the schema from {before} to next." in said
        (kept,) = kit.folder.glob("grader.sqlite.before-upgrade-*")
        assert str(kept) in said
        for file, version in ((kept, before), (kit.folder / "grader.sqlite", "next")):
            with contextlib.closing(sqlite3.connect(file)) as connection:
                assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (version,)
        assert "Nothing to do: the schema is next." in good(run("migrate")).out
        assert len(list(kit.folder.glob("grader.sqlite.before-upgrade-*"))) == 1

    @pytest.mark.sqlite
    @pytest.mark.usefixtures("next_version")
    def test_not_while_something_uses_it(self, run: Run, kit: Kit) -> None:
        with installation.using(kit.folder / "grader.sqlite"):
            refused(run("migrate"), "stop it first so that the database can be upgraded")

    @pytest.mark.sqlite
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

    @pytest.mark.sqlite
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
    database: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    url = postgres.running().database() if database == databases.POSTGRESQL else ""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"GRADER_{name.upper()}", raising=False)
    words = ["two_mistakes", "not_json", "correct_zip_from_a_mac"]
    chosen = [word for name in words for word in ("--only", f"{NUMPY}/{name}")]
    monkeypatch.setattr(sys, "argv", ["grader", "smoke", *chosen, *(["--database", url] if url else [])])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out = capfd.readouterr().out
    assert ended.value.code in (0, None), out
    assert "3 as expected, 0 different, 0 skipped." in out
    if url:
        databases.drop(url)
