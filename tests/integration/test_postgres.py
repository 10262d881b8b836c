"""What only PostgreSQL brings: many processes on one database, workers that hang or are replaced.

What both databases promise alike is in the other modules; `pytest --database postgresql` repeats it.
"""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx
import psycopg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import func, make_url, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from grader import cli_serve, installation
from grader.assembly import EVENTS, Parts, longest_check_s
from grader.errors import StoreError, UsageError
from grader.events import Event
from grader.queue import deferring
from grader.queue.distributed import DistributedQueue
from grader.reports import Report
from grader.service import regrading, roster
from grader.service.access import SHELL
from grader.service.catalogue import Catalogue
from grader.settings import Settings
from grader.store import migrating
from grader.store.engine import Store
from grader.store.models import Blob, Course, Grade, Job, Regrade, StoredReport, User
from grader.store.models import Worker as WorkerRow
from grader.store.states import JobState, RegradeState, SubmissionState
from grader.worker import Worker
from tests import databases, postgres
from tests.attacks.visits import at_once

from .processes import PROJECT, Start, grader
from .service import COURSE, SUMS, TENSORFLOW, FakeEngine, Kit, program

API = "/api/v1"
UPLOADS = f"{API}/courses/{COURSE}/assignments/{SUMS}/submissions"
PASSWORD = "hunter2 of the database"


@pytest.fixture
def kit(postgresql_kit: Kit) -> Kit:
    return postgresql_kit


@pytest.fixture
def address() -> str:
    """Processes of this module are told theirs: the kit's."""
    return ""


@pytest.fixture
def server() -> postgres.Server:
    postgres.require()
    return postgres.running()


@contextmanager
def process_of(kit: Kit) -> Iterator[Parts]:
    """What another process of the service would have: connections, bus and queue of its own."""
    parts = Parts(store=Store(kit.service.store.url), catalogue=kit.service.catalogue, secret=kit.service.secret)
    try:
        yield parts
    finally:
        parts.close()
        parts.store.close()


def worker_of(kit: Kit, name: str, engine: Any = None, **changes: Any) -> Worker:
    """One that says it is a process of another machine."""
    fresh: dict[str, Any] = {"_threads": [], "_running": {}, "_progress": {}, "_stopped": [], "_passed": {}}
    ended = {"_stopping": threading.Event(), "_left": threading.Event(), "_lock": threading.Lock()}
    return replace(kit.worker, name=f"{name}:1:1", engine=engine or kit.worker.engine, **(fresh | ended | changes))


@contextmanager
def running(*workers: Worker) -> Iterator[None]:
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.stop(10)


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def execute(kit: Kit, statement: str) -> None:
    with kit.service.store.write() as session:
        session.execute(text(statement))


def scalar(kit: Kit, question: str) -> Any:
    with kit.service.store.read() as session:
        return session.execute(text(question)).scalar()


def deliveries(kit: Kit) -> dict[str, int]:
    """Procrastinate's gradings by status. Workers that run beside the test have periodic jobs, too."""
    with kit.service.store.read() as session:
        rows = session.execute(
            text("SELECT status::text, count(*) FROM procrastinate_jobs WHERE task_name = 'grade' GROUP BY status")
        )
        return {status: count for status, count in rows}


def reports(kit: Kit) -> list[StoredReport]:
    with kit.service.store.read() as session:
        return list(session.scalars(select(StoredReport).order_by(StoredReport.id)))


def more_students(kit: Kit, count: int) -> list[str]:
    """Their logins; they hand in by `kit.hand_in`."""
    logins = [f"s{number:02}" for number in range(count)]
    with kit.service.store.write() as session:
        course = session.scalars(select(Course).where(Course.name == COURSE)).one()
        rows = "".join(f"{login},{login.title()}\n" for login in logins)
        roster.apply(session, SHELL, course, f"login,name\n{rows}".encode(), kit.service.now())
        kit.ids.update({login: number for login, number in session.execute(select(User.login, User.id))})
    return logins


# Start-up ----------------------------------------------------------------------------------------------------------


def in_schema(kit: Kit, version: str) -> None:
    with kit.service.store.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})


def opening(url: str, *, serving: bool) -> AbstractContextManager[Parts]:
    """What `grader serve` and `grader worker` begin with."""
    given: dict[str, Any] = {"database_url": url}
    return cli_serve.opened_for_service(Settings(**given), serving=serving)


class TestStart:
    @pytest.mark.parametrize("serving", [True, False])
    def test_another_schema_is_refused(self, kit: Kit, serving: bool) -> None:
        older = ScriptDirectory.from_config(migrating.configuration()).get_base()
        for version, said in ((older, "run: grader migrate"), ("of_the_future", "install the newer version")):
            in_schema(kit, str(version))
            with pytest.raises(StoreError, match=said), opening(kit.service.store.url, serving=serving):
                pass
            assert scalar(kit, "SELECT version_num FROM alembic_version") == version

    def test_two_migrations_at_once_are_one(self, server: postgres.Server, tmp_path: Path) -> None:
        url = server.database()
        with pytest.raises(StoreError, match="schema none"), opening(url, serving=True):
            pass

        def migrate(_: int) -> Any:
            return grader(tmp_path, "migrate", GRADER_DATABASE_URL=url)

        with ThreadPoolExecutor() as pool:
            for ran in pool.map(migrate, range(2)):
                assert ran.returncode == 0, ran.stderr
        store = Store(url)
        migrating.require_newest(store)
        databases.end(store)

    def test_a_database_that_is_not_reached_has_words_without_the_password(self, server: postgres.Server) -> None:
        url = make_url(server.url("postgres")).set(username="stranger", password=PASSWORD)
        _with_passwords(server)
        for fault, said in (
            ({"port": 9}, r": Connection refused; is PostgreSQL running at 127\.0\.0\.1, port 9\?$"),
            ({"host": "no.such.host.invalid"}, "no.such.host.invalid.*; is the host's name right"),
            (
                {"username": "grader", "database": "there_is_none"},
                "does not exist; make it: createdb --owner=grader there_is_none$",
            ),
            ({}, r': password authentication failed for user "stranger"; user or password is wrong$'),
            ({"query": {"foo": "bar"}}, 'invalid connection option "foo"$'),
            ({"password": None, "query": {"password": PASSWORD}}, "user or password is wrong$"),
        ):
            address = url.set(**cast(Any, fault)).render_as_string(hide_password=False)
            with pytest.raises(UsageError, match=said) as refused:
                installation.open_store(address)
            assert str(refused.value).startswith("GRADER_DATABASE_URL: no connection to postgresql+psycopg://")
            assert "\n" not in str(refused.value)
            assert "hunter2" not in str(refused.value)

    def test_a_database_that_cannot_be_used_says_what_would_help(self, server: postgres.Server) -> None:
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
            admin.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
            admin.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
            admin.execute("CREATE DATABASE standby")
            admin.execute("ALTER DATABASE standby SET default_transaction_read_only = on")
            admin.execute("CREATE DATABASE foreigners")
            admin.execute("CREATE ROLE lodger LOGIN")
        with psycopg.connect(server.dsn("foreigners"), autocommit=True) as admin:
            admin.execute("REVOKE CREATE ON SCHEMA public FROM public")
        lodger = make_url(server.url("foreigners")).set(username="lodger").render_as_string(hide_password=False)
        for url, said in (
            (server.url("ascii"), "createdb --encoding=UTF8"),
            (server.url("latin"), "has the encoding LATIN1"),
            (server.url("standby"), "is read-only"),
            (lodger, "OWNER TO"),
        ):
            store = Store(url)
            with pytest.raises(UsageError, match=said):
                migrating.upgrade(store)
            store.close()

    def test_a_refusal_is_one_line_and_exit_code_2(self, tmp_path: Path) -> None:
        ran = grader(
            tmp_path, "worker", GRADER_DATABASE_URL=f"postgresql+psycopg://me:{quote(PASSWORD)}@127.0.0.1:9/db"
        )
        assert ran.returncode == 2
        assert ran.stderr.startswith("grader: error: GRADER_DATABASE_URL: no connection to")
        assert ran.stderr.count("\n") == 1
        assert "hunter2" not in ran.stdout + ran.stderr


def _with_passwords(server: postgres.Server) -> None:
    """A user of the server who needs one."""
    rules = server.data / "pg_hba.conf"
    if "stranger" not in rules.read_text():
        rules.write_text("host all stranger 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS stranger")
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'another one'")
        connection.execute("SELECT pg_reload_conf()")


# Events of other processes -----------------------------------------------------------------------------------------


def linked(one: Parts, other: Parts) -> None:
    """Returns when events of one process reach the other."""
    heard = threading.Event()
    with other.bus.listening("probe", lambda _: heard.set()):
        while not heard.wait(0.05):
            one.bus.publish("probe", Event(kind="state"))


def cut_connections(kit: Kit) -> None:
    """As when the server starts again: every connection to this database ends."""
    with psycopg.connect(postgres.running().dsn("postgres"), autocommit=True) as connection:
        question = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        connection.execute(question, (make_url(kit.service.store.url).database,))


class Held(FakeEngine):
    """Tells of its first check, then goes on only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def grade(self, assignment: Any, file: str, data: bytes, *, seed: Any = None, on_check: Any = None) -> Report:
        def told(check: Any) -> None:
            on_check(check)
            assert self.go.wait(20)

        return super().grade(assignment, file, data, seed=seed, on_check=told)


class TestEvents:
    def test_a_page_sees_each_check_of_a_grading_elsewhere(self, kit: Kit) -> None:
        engine = Held()
        with process_of(kit) as web, process_of(kit) as grading:
            linked(grading, web)
            kit.service.bus = web.bus
            number = kit.hand_in("ada")
            worker = worker_of(kit, "elsewhere", engine, store=grading.store, queue=grading.queue, bus=grading.bus)
            with kit.client("ada") as ada, ada.stream("GET", f"{API}/submissions/{number}/events") as stream:
                lines = stream.iter_lines()
                assert "queued" in next(line for line in lines if line.startswith("data:"))
                thread = threading.Thread(target=worker.one)
                thread.start()
                # The check has not been stored yet, and no heartbeat tells of it: this can only be the notification.
                assert "add_works" in next(line for line in lines if "add_works" in line)
                engine.go.set()
                assert any(line == "event: done" for line in lines)
                thread.join()

    def test_it_goes_on_after_the_server_started_again(self, kit: Kit) -> None:
        with process_of(kit) as web, process_of(kit) as grading:
            linked(grading, web)
            cut_connections(kit)
            until(lambda: web.measures.reconnects() == grading.measures.reconnects() == 1)
            linked(grading, web)
            assert b"grader_event_bus_reconnects_total 1.0" in web.measures.text()
            kit.hand_in("ada")
            assert worker_of(kit, "elsewhere", queue=grading.queue, store=grading.store).one()

    def test_what_is_no_event_is_passed_over(self, kit: Kit) -> None:
        with process_of(kit) as web, process_of(kit) as grading:
            linked(grading, web)

            def fail(_: Event) -> None:
                raise RuntimeError("a listener whose page is gone")

            odd = ["", "x", "null", "[]", "{}", '["a", "b", "c"]', '["a", 1, "state", {}]', '["a", "b", "c", []]']
            odd += [
                '{"a": 1, "b": 2, "c": 3, "d": 4}',
                "[" * 7000,
                '["o", "broken", "state", {}]',
                "\\ud800",
                "9" * 7000,
            ]
            with web.bus.listening("broken", fail), grading.store.write(shared=True) as session:
                for payload in odd:
                    session.execute(select(func.pg_notify(EVENTS, payload)))
                    session.execute(select(func.pg_notify("procrastinate_any_queue_v1", payload)))
            linked(grading, web)
            assert web.measures.reconnects() == 0


# Many at once ------------------------------------------------------------------------------------------------------


class TestManyAtOnce:
    def test_uploads_of_one_student_get_numbers_without_gaps(self, kit: Kit) -> None:
        with kit.client("ada") as ada:

            def upload(number: int, assignment: str) -> httpx.Response:
                address = UPLOADS.replace(SUMS, assignment)
                return ada.post(address, files={"file": ("a.py", program(salt=str(number)))})

            taken = at_once([partial(upload, n, SUMS) for n in range(20)])
            assert {answer.status_code for answer in taken} == {202}
            assert sorted(answer.json()["number"] for answer in taken) == list(range(1, 21))
            limited = at_once([partial(upload, n, TENSORFLOW) for n in range(12)])
        assert sorted(answer.status_code for answer in limited) == [202] * 3 + [409] * 9
        assert deliveries(kit) == {"todo": 23}

    def test_the_same_file_of_twenty_students_is_kept_once(self, kit: Kit) -> None:
        logins = more_students(kit, 20)
        numbers = at_once([partial(kit.hand_in, login, program()) for login in logins])
        assert len(set(numbers)) == 20
        workers = [worker_of(kit, f"w{number}") for number in range(3)]
        with running(*workers):
            until(lambda: all(kit.submission(number).state is SubmissionState.GRADED for number in numbers))
        with kit.service.store.read() as session:
            assert session.scalar(select(func.count()).select_from(Blob)) == 1
        assert sorted(report.submission_id for report in reports(kit)) == sorted(numbers)
        assert {report.score for report in reports(kit)} == {100}

    def test_two_last_gradings_of_a_regrade_make_it_ready(self, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
        for login in ("ada", "bob"):
            kit.hand_in(login, program(salt=login))
        kit.grade()
        with kit.client("teacher") as teacher:
            begun = teacher.post(
                f"{API}/courses/{COURSE}/assignments/{SUMS}/regrades", json={"every_attempt": True, "reason": "x"}
            )
        assert begun.status_code < 300, begun.text
        together, advance = threading.Barrier(2), regrading.advance

        def last(*arguments: Any) -> None:  # both have stored their report, and neither sees the other's
            together.wait(20)
            advance(*arguments)

        monkeypatch.setattr(regrading, "advance", last)
        assert at_once([worker_of(kit, name).one for name in ("one", "two")]) == [True, True]
        with kit.service.store.read() as session:
            assert session.scalars(select(Regrade.state)).all() == [RegradeState.READY]

    def test_an_override_and_a_grading_both_count(self, kit: Kit) -> None:
        worker = worker_of(kit, "elsewhere")
        with kit.client("tina") as tina:
            address = f"{API}/courses/{COURSE}/assignments/{SUMS}/students/ada/override"

            def override(score: int) -> bool:
                return tina.put(address, json={"score": score, "reason": "by hand"}).status_code == 200

            for number in range(8):
                kit.hand_in("ada", program(salt=str(number), fail=["add_works"] if number % 2 else []))
                both: list[Callable[[], bool]] = [worker.one, partial(override, 10 + number)]
                done = at_once(both)
                assert done == [True, True]
                with kit.service.store.read() as session:
                    grade = session.scalars(
                        select(Grade).where(Grade.user_id == kit.ids["ada"], Grade.submission_id.is_not(None))
                    ).one()
                assert (grade.overridden, grade.score, grade.computed) == (True, 10 + number, 100)

    def test_a_roster_comes_in_while_uploads_do(self, kit: Kit) -> None:
        people = "".join(f"new{number},New {number}\n" for number in range(40))
        with kit.client("teacher") as teacher, running(worker_of(kit, "one"), worker_of(kit, "two")):

            def bring_in() -> int:
                file = ("roster.csv", f"login,name\n{people}", "text/csv")
                return teacher.post(f"{API}/courses/{COURSE}/roster", files={"file": file}).status_code

            def upload(login: str) -> int:
                return min(kit.hand_in(login, program(salt=f"{login} {number}")) for number in range(5))

            all_of_them: list[Callable[[], int]] = [bring_in, bring_in, partial(upload, "ada"), partial(upload, "bob")]
            done = at_once(all_of_them)
            assert done.count(200) == 2
            until(lambda: len(reports(kit)) == 10)
        assert scalar(kit, "SELECT count(*) FROM grades g JOIN users u ON u.id = g.user_id WHERE login ~ '^new'") == 120
        assert scalar(kit, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0

    def test_who_hangs_in_a_transaction_does_not_stop_the_others(
        self, kit: Kit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("grader.store.engine._IDLE_MS", 200)
        hanging, other = Store(kit.service.store.url), kit.service.store

        def hang() -> None:
            with hanging.write() as session:
                session.execute(text("SELECT 1"))
                with other.write() as another:  # has to wait until the server ends the first one
                    another.execute(text("SELECT 1"))
                session.execute(text("SELECT 1"))

        with pytest.raises(StoreError, match="the connection to the database was ended"):
            hang()
        with hanging.write() as session:  # and it has a new connection
            assert session.execute(text("SELECT 1")).scalar() == 1
        hanging.close()


# A row and its delivery --------------------------------------------------------------------------------------------


class TestDeliveries:
    def test_they_come_and_go_with_the_row(self, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patched:
            patched.setattr("grader.service.submitting.recording.recompute", fail)  # after the job was put in
            with pytest.raises(ZeroDivisionError):
                kit.hand_in("ada")
        assert (deliveries(kit), scalar(kit, "SELECT count(*) FROM jobs")) == ({}, 0)
        kit.hand_in("ada")
        kit.hand_in("bob", program(kind="not_gradable"))
        assert deliveries(kit) == {"todo": 2}
        kit.grade()
        assert (deliveries(kit), scalar(kit, "SELECT count(*) FROM procrastinate_events")) == ({}, 0)

    def test_a_regrade_that_is_cancelled_leaves_none(self, kit: Kit) -> None:
        for login in ("ada", "bob", "chen"):
            kit.hand_in(login, program(salt=login))
        kit.grade()
        with kit.client("teacher") as teacher:
            path = f"{API}/courses/{COURSE}/assignments/{SUMS}/regrades"
            number = teacher.post(path, json={"every_attempt": True, "reason": "x"}).json()["id"]
            taken = kit.service.queue.take("elsewhere:1:1", ["numpy"])  # one of them has begun
            assert taken is not None
            assert deliveries(kit) == {"todo": 2, "doing": 1}
            cancelled = teacher.post(f"{path}/{number}/cancel")
            assert cancelled.status_code < 300, cancelled.text
        assert deliveries(kit) == {"doing": 1}
        with kit.service.store.write(student=taken.user_id) as session:
            kit.service.queue.finish(session, taken, kit.service.now())
        assert deliveries(kit) == {}
        with kit.service.store.read() as session:
            assert set(session.scalars(select(Job.state))) == {JobState.DONE}

    def test_one_without_a_job_that_waits_is_dropped_and_holds_nobody_up(self, kit: Kit) -> None:
        kit.hand_in("ada")
        execute(kit, "DELETE FROM jobs")
        done = kit.hand_in("bob", program(salt="done"))
        execute(kit, f"UPDATE jobs SET state = 'done', ended_at = now() WHERE submission_id = {done}")
        number = kit.hand_in("chen", program(salt="waits"))
        assert kit.worker.one()
        assert kit.submission(number).state is SubmissionState.GRADED
        assert (deliveries(kit), kit.worker.one()) == ({}, False)

    def test_a_job_that_has_lost_its_delivery_ends_all_the_same(self, kit: Kit) -> None:
        first, second = kit.hand_in("ada"), kit.hand_in("bob", program(salt="given back"))
        queue = kit.service.queue
        jobs = [queue.take(kit.worker.name, ["numpy"]) for _ in range(2)]
        execute(kit, "DELETE FROM procrastinate_jobs WHERE task_name = 'grade'")
        for job in jobs:
            assert job is not None
            if job.submission_id == second:
                queue.give_back(job)
                continue
            with kit.service.store.write(student=job.user_id) as session:
                queue.finish(session, job, kit.service.now())
        assert deliveries(kit) == {"todo": 1}
        assert scalar(kit, f"SELECT state FROM jobs WHERE submission_id = {first}") == JobState.DONE
        execute(kit, "DELETE FROM procrastinate_jobs WHERE task_name = 'grade'")
        assert not kit.worker.one()
        with kit.service.store.write() as session:  # once an hour
            deferring.forget(session, kit.service.now())
        assert kit.worker.one()
        assert kit.submission(second).state is SubmissionState.GRADED

    def test_a_job_taken_by_a_commit_whose_answer_was_lost_runs_for_nobody_for_long(
        self, kit: Kit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        number = kit.hand_in("ada")
        commit = Session.commit

        def lose(session: Session) -> None:
            ran = any(isinstance(row, Job) for row in session.identity_map.values())
            commit(session)
            if ran:
                raise OperationalError("COMMIT", {}, psycopg.OperationalError("server closed the connection"))

        with monkeypatch.context() as patched:
            patched.setattr(Session, "commit", lose)
            with pytest.raises(StoreError, match="server closed the connection"):
                kit.worker.one()
        assert kit.submission(number).state is SubmissionState.GRADING
        assert kit.worker.one()
        assert kit.submission(number).state is SubmissionState.GRADED
        with kit.service.store.read() as session:
            assert session.scalars(select(Job.attempts)).all() == [1]


# Workers that hang, end and are replaced ---------------------------------------------------------------------------

SLOW = b"import time\n\n\ndef add(a, b):\n    time.sleep(%d)\n    return a + b\n"


def worker_process(kit: Kit, start: Start) -> Any:
    """A real one, with its sandbox; of what it grades only `add` can be right: 40 points."""
    return start(
        "worker", "--concurrency", "1", "--runtimes", "numpy", GRADER_DATABASE_URL=kit.service.store.url,
        GRADER_REFERENCE_DIR=str(kit.service.catalogue._folder), GRADER_PARKED="1",
    )  # fmt: skip


@pytest.mark.sandbox
@pytest.mark.usefixtures("sandbox")
class TestProcesses:
    def test_the_job_of_one_that_stands_still_is_graded_by_another(self, kit: Kit, start: Start) -> None:
        hanging = worker_process(kit, start)
        number = kit.hand_in("ada", SLOW % 2)
        until(lambda: kit.submission(number).state is SubmissionState.GRADING)
        hanging.process.send_signal(signal.SIGSTOP)
        quick = worker_of(kit, "elsewhere", queue=DistributedQueue(kit.service.store, silent_s=0.5))
        until(quick.one)
        assert (kit.submission(number).state, kit.submission(number).score) == (SubmissionState.GRADED, 100)
        hanging.process.send_signal(signal.SIGCONT)
        hanging.until("was graded by another worker meanwhile")
        assert [report.score for report in reports(kit)] == [100]
        later = kit.hand_in("bob", b"def add(a, b):\n    return a + b\n")  # and it is of use again
        until(lambda: kit.submission(later).state is SubmissionState.GRADED)
        assert kit.submission(later).score == 40
        assert hanging.stop() == 0

    def test_one_that_is_told_to_end_finishes_and_takes_no_more(self, kit: Kit, start: Start) -> None:
        ending = worker_process(kit, start)
        number, waiting = kit.hand_in("ada", SLOW % 1), kit.hand_in("bob", SLOW % 1)
        until(lambda: kit.submission(number).state is SubmissionState.GRADING)
        assert ending.stop() == 0
        assert (kit.submission(number).state, kit.submission(number).score) == (SubmissionState.GRADED, 40)
        assert kit.submission(waiting).state is SubmissionState.QUEUED
        assert deliveries(kit) == {"todo": 1}
        with kit.service.store.read() as session:
            assert session.scalars(select(Job.attempts).order_by(Job.id)).all() == [1, 0]
            assert session.scalars(select(WorkerRow)).all() == []


class TestSignsOfLife:
    def test_they_wait_for_nobody(self, kit: Kit) -> None:
        """While somebody writes alone for long, as a regrade of a large course does, no worker looks dead."""
        worker, queue = worker_of(kit, "beating"), kit.service.queue
        queue.take(worker.name, ["numpy"])  # makes itself known
        worker._announce(kit.service.now())
        silent = (
            "SELECT (SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat < now() - interval '1 minute')"
            " + (SELECT count(*) FROM workers WHERE seen_at < now() - interval '1 minute')"
        )
        execute(kit, "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
        execute(kit, "UPDATE workers SET seen_at = now() - interval '1 hour'")
        assert scalar(kit, silent) == 2
        with kit.service.store.write():
            queue.keep([], {})
            worker._announce(kit.service.now())
        assert scalar(kit, silent) == 0


class TestReplacing:
    def test_a_long_end_does_not_look_like_a_death(self, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is graded while a worker ends may take longer than a silent worker keeps its jobs."""
        monkeypatch.setattr("grader.worker._BEAT_S", 0.05)
        monkeypatch.setattr("grader.queue.distributed._LOOK_FOR_LOST_S", 0.0)
        engine = Held()
        ending, other = worker_of(kit, "ending", engine), DistributedQueue(kit.service.store, silent_s=0.5)
        ending.start()
        number = kit.hand_in("ada")
        until(lambda: kit.submission(number).state is SubmissionState.GRADING)
        stopping = threading.Thread(target=ending.stop, args=(20,))
        stopping.start()
        until(lambda: self.assignments_of(kit, ending) == {})  # others leave no job to one that ends
        for _ in range(20):
            assert other.take("other:1:1", ["numpy"]) is None
            time.sleep(0.05)
        engine.go.set()
        stopping.join()
        assert kit.submission(number).state is SubmissionState.GRADED
        assert scalar(kit, "SELECT count(*) FROM workers") == 0

    def assignments_of(self, kit: Kit, worker: Worker) -> Any:
        with kit.service.store.read() as session:
            return session.get_one(WorkerRow, worker.name).detail["assignments"]

    def test_a_worker_process_waits_for_the_longest_check(self) -> None:
        catalogue = Catalogue(PROJECT / "reference")
        longest = max(check.limits.wall_s for name in catalogue.names for check in catalogue.get(name).checks)
        assert longest_check_s(catalogue, ["numpy", "tensorflow", "torch"]) == longest
        assert longest_check_s(catalogue, []) == 0

    def test_a_new_version_of_an_assignment_is_graded_by_workers_that_have_it(self, kit: Kit, tmp_path: Path) -> None:
        shutil.copytree(kit.service.catalogue._folder, tmp_path / "newer")
        with (tmp_path / "newer" / SUMS / "checks.py").open("a") as checks:
            checks.write("\n\n# A later version.\n")
        newer = Catalogue(tmp_path / "newer")
        versions = [catalogue.get(SUMS).version for catalogue in (kit.service.catalogue, newer)]
        assert versions[0] != versions[1]
        old, new = worker_of(kit, "old"), worker_of(kit, "new", catalogue=newer)
        kit.service.catalogue = newer  # the web is the first to be replaced
        with running(old):
            with running(new):
                numbers = [kit.hand_in("ada", program(salt=f"{n}")) for n in range(2)]
                numbers += [kit.hand_in("bob", program(salt=f"of bob {n}")) for n in range(2)]
                until(lambda: all(kit.submission(number).state is SubmissionState.GRADED for number in numbers))
                assert {report.assignment_version for report in reports(kit)} == {versions[1]}
            alone = kit.hand_in("chen")
            until(lambda: kit.submission(alone).state is SubmissionState.GRADED)
        assert reports(kit)[-1].assignment_version == versions[0]
        with kit.service.store.read() as session:
            assert set(session.scalars(select(Job.attempts))) == {1}

    def test_a_worker_goes_on_while_the_schema_becomes_a_newer_one(
        self, kit: Kit, next_version: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with running(worker_of(kit, "old")):
            first = kit.hand_in("ada")
            until(lambda: kit.submission(first).state is SubmissionState.GRADED)
            monkeypatch.setenv("GRADER_DATABASE_URL", kit.service.store.url)
            cli_serve.migrate()
            assert "to next." in capfd.readouterr().out
            assert scalar(kit, "SELECT version_num FROM alembic_version") == "next"
            second = kit.hand_in("bob")
            until(lambda: kit.submission(second).state is SubmissionState.GRADED)
            migrating.require_newest(kit.service.store)
