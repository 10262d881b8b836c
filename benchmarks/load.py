"""The service under load, and grade queries on a large database: `make load`.

    .venv/bin/python benchmarks/load.py [--seconds 60] [--reports 1000000] [--only rest|sustained|steady|queries]

One run prints, side by side: answers at rest, submissions a second that are sustained, the time from POST to graded at
a steady rate, peak memory, errors; and the time of queries on a database of a million reports. The load comes from this
process over loopback, the service is a `grader serve` of its own with a database in a temporary folder. Every upload is
different, so no stored report is used again. Targets stand beside the figures.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from sqlalchemy import select

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from benchmarks.measuring import Watch  # noqa: E402
from grader.reports import Report, ReportStatus  # noqa: E402
from grader.service import accounts, publishing, roster  # noqa: E402
from grader.service.access import SHELL, Scope  # noqa: E402
from grader.service.catalogue import Catalogue  # noqa: E402
from grader.service.publishing import Rules  # noqa: E402
from grader.store import migrating  # noqa: E402
from grader.store.codec import pack_report  # noqa: E402
from grader.store.engine import Store  # noqa: E402
from grader.store.models import StoredReport, User  # noqa: E402
from grader.store.states import Role  # noqa: E402

MIX = (("numpy_autodiff", "correct_compact", 0.8), ("tensorflow_basics", "correct_plain", 0.2))
PEOPLE = 200
PARALLEL = 16


@dataclass
class Tally:
    """What came back. seconds: from POST to graded."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, took: float | None, error: str = "") -> None:
        with self.lock:
            if took is not None:
                self.seconds.append(took)
            if error:
                self.errors.append(error)

    def at(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class Course:
    """A course with many students and a token for each, made in the database before the service starts."""

    def __init__(self, folder: Path, people: int = PEOPLE) -> None:
        self.folder = folder
        store = Store(f"sqlite:///{folder}/grader.sqlite3")
        migrating.upgrade(store)
        now = datetime.now(UTC)
        with store.write() as session:
            course = publishing.make_course(session, SHELL, "load", "Load", "UTC", now)
            catalogue = Catalogue(PROJECT / "reference")
            for name, _, _ in MIX:
                publishing.publish(
                    session, SHELL, course, catalogue, name, Rules(opens_at=now - timedelta(days=1)), now
                )
            lines = "".join(f"u{n:04d},Student {n:04d},{n % 8}\n" for n in range(people))
            roster.apply(session, SHELL, course, f"login,name,section\n{lines}".encode(), now)
            staff = roster.Person(line=0, login="tina", name="Tina", role=Role.TA)
            roster.enrol(session, SHELL, course, staff, now)
            users = dict(session.execute(select(User.login, User.id)).all())
            known = {login: session.get_one(User, users[login]) for login in ("u0000", "tina")}
            self.links = {login: accounts.make_link(session, user, now) for login, user in known.items()}
            self.tokens = {
                login: accounts.make_token(session, SHELL, users[login], "load", list(Scope), None, now)[1]
                for login in (*(f"u{n:04d}" for n in range(min(people, PEOPLE))), "tina")
            }
        store.close()


@contextmanager
def serving(course: Course, *, slots: int = 2) -> Iterator[tuple[str, int]]:
    """A `grader serve` on a free port; gives its address and process."""
    environment = {
        **os.environ,
        "GRADER_DATA_DIR": str(course.folder), "GRADER_PORT": "0", "GRADER_SLOTS": str(slots),
        "GRADER_UPLOADS_A_MINUTE": "10000", "GRADER_REQUESTS_A_MINUTE": "1000000", "GRADER_LOG_LEVEL": "warning",
    }  # fmt: skip
    command = [str(Path(sys.executable).with_name("grader")), "serve", "--no-demo"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = ""
        for line in process.stdout:
            if "http://" in line:
                url = "http://" + line.partition("http://")[2].split()[0].rstrip("/").partition("/sign-in")[0]
                break
        assert url, "the service did not start"
        threading.Thread(target=process.stdout.read, daemon=True).start()
        deadline = time.monotonic() + 120
        while httpx.get(f"{url}/health/live", trust_env=False).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield url, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def variants() -> Callable[..., tuple[str, str, bytes]]:
    """Gives (assignment, file name, content), every content another one."""
    files = {}
    for name, story, _ in MIX:
        folder = PROJECT / "submissions" / name / story
        files[name] = next(path for path in folder.iterdir() if path.name != "expected.toml")
    numbers = iter(range(10**9))
    dice = random.Random(1)
    assert all(path.suffix == ".py" for path in files.values())

    def make(only: str = "") -> tuple[str, str, bytes]:
        name = only or dice.choices([n for n, _, _ in MIX], [w for _, _, w in MIX])[0]
        return name, files[name].name, files[name].read_bytes() + f"\n# {next(numbers)} {os.getpid()}\n".encode()

    return make


def submit(client: httpx.Client, token: str, made: tuple[str, str, bytes], tally: Tally) -> None:
    name, file, data = made
    began = time.perf_counter()
    try:
        answer = client.post(
            f"/api/v1/courses/load/assignments/{name}/submissions",
            files={"file": (file, data)},
            headers={"Authorization": f"Bearer {token}", "Prefer": "wait=30"},
        )
    except httpx.HTTPError as error:
        tally.add(None, f"{type(error).__name__}")
        return
    took = time.perf_counter() - began
    if answer.status_code not in (200, 201) or answer.json().get("state") != "graded" or answer.json()["score"] != 100:
        tally.add(None, f"{answer.status_code} {answer.text[:200]}")
    else:
        tally.add(took)


def client_of(url: str) -> httpx.Client:
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    return httpx.Client(base_url=url, timeout=60, trust_env=False, limits=limits)


def at_rest(url: str, course: Course, make: Callable[..., tuple[str, str, bytes]], times: int = 30) -> None:
    """One upload after the other, with a pause in which the next child is parked."""
    with client_of(url) as client:
        for name, target in (("numpy_autodiff", 150), ("tensorflow_basics", 250)):
            tally = Tally()
            for number in range(times + 3):
                kept = tally if number >= 3 else Tally()
                submit(client, course.tokens[f"u{number:04d}"], make(name), kept)
                time.sleep(0.5)
            line(f"{name}, Prefer: wait, median of {times}", f"{1000 * tally.at(0.5):.0f} ms", f"under {target} ms")
            line(f"{name}, Prefer: wait, p95", f"{1000 * tally.at(0.95):.0f} ms", "")
            complain(tally)


def pages(url: str, course: Course, make: Callable[..., tuple[str, str, bytes]], times: int = 30) -> None:
    """Pages as a browser gets them, on a connection that is open; signed in by link."""
    with client_of(url) as client:
        tally = Tally()
        submit(client, course.tokens["u0000"], make("numpy_autodiff"), tally)
        complain(tally)
        mine = client.get(
            "/api/v1/courses/load/submissions", headers={"Authorization": f"Bearer {course.tokens['u0000']}"}
        )
        number = mine.json()["items"][0]["id"]
    asked = [
        ("u0000", f"/submissions/{number}", "page: a student's submission", 50),
        ("u0000", "/courses/load", "page: assignments of a student", 0),
        ("u0000", "/courses/load/assignments/numpy_autodiff", "page: statement and upload", 0),
        ("tina", "/courses/load/gradebook", "page: gradebook", 0),
        ("tina", f"/submissions/{number}", "page: a submission for staff", 0),
    ]
    for login in ("u0000", "tina"):
        with client_of(url) as client:
            form = client.get(f"/sign-in/link/{course.links[login]}").text
            csrf = form.partition('name="csrf" value="')[2].partition('"')[0]
            client.post(f"/sign-in/link/{course.links[login]}", data={"csrf": csrf})
            for who, path, what, target in asked:
                if who != login:
                    continue
                took = []
                for _ in range(times):
                    began = time.perf_counter()
                    answer = client.get(path)
                    took.append(time.perf_counter() - began)
                    assert answer.status_code == 200, f"{path}: {answer.status_code}"
                line(
                    f"{what}, {len(answer.content) / 1000:.0f} kB", f"{1000 * statistics.median(took):.0f} ms",
                    f"under {target} ms" if target else "",
                )  # fmt: skip


def sustained(url: str, pid: int, course: Course, make: Callable[..., tuple[str, str, bytes]], seconds: float) -> None:
    """As many students as there are parallel connections, each handing in again as soon as the last is graded."""
    tally, memory = Tally(), Watch(pid, every_s=0.5)
    logins = [login for login in course.tokens if login != "tina"]
    end = time.monotonic() + seconds
    turn = iter(range(10**9))
    lock = threading.Lock()

    def work(client: httpx.Client) -> None:
        while time.monotonic() < end:
            with lock:
                made, login = make(), logins[next(turn) % len(logins)]
            submit(client, course.tokens[login], made, tally)

    with client_of(url) as client, memory:
        threads = [threading.Thread(target=work, args=(client,)) for _ in range(PARALLEL)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
    line(f"sustained, {PARALLEL} at once, {took:.0f} s", f"{len(tally.seconds) / took:.1f} /s", "10 /s, nothing lost")
    percentiles(tally)
    line("errors", str(len(tally.errors)), "0")
    line("peak memory of all processes (PSS)", f"{memory.peak_mib:.0f} MiB", "")
    complain(tally)


def steady(
    url: str, pid: int, course: Course, make: Callable[..., tuple[str, str, bytes]], seconds: float, rate: float = 5
) -> None:
    """Uploads at random moments (Poisson), whatever the service does with those before."""
    tally, memory, dice = Tally(), Watch(pid, every_s=0.5), random.Random(2)
    logins = [login for login in course.tokens if login != "tina"]
    threads: list[threading.Thread] = []
    with client_of(url) as client, memory:
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end:
            time.sleep(dice.expovariate(rate))
            token = course.tokens[logins[number % len(logins)]]
            thread = threading.Thread(target=submit, args=(client, token, make(), tally))
            thread.start()
            threads.append(thread)
            number += 1
        for thread in threads:
            thread.join()
    line(f"steady {rate:g} /s, {number} uploads", f"p99 {tally.at(0.99):.3f} s", "p99 under 2 s")
    percentiles(tally)
    line("errors", str(len(tally.errors)), "0")
    line("peak memory of all processes (PSS)", f"{memory.peak_mib:.0f} MiB", "")
    complain(tally)


def percentiles(tally: Tally) -> None:
    shown = " / ".join(f"{1000 * tally.at(share):.0f}" for share in (0.5, 0.95, 0.99))
    line("POST to graded, p50 / p95 / p99", f"{shown} ms", "")


def complain(tally: Tally) -> None:
    for error in dict.fromkeys(tally.errors[:5]):
        print(f"    error: {error}")


# Queries -----------------------------------------------------------------------------------------------------------


def fill(course: Course, reports: int, students: int) -> None:
    """A million reports by SQL, each with its submission and the results of 17 checks; grades as they follow."""
    packed = pack_report(_example())
    database = sqlite3.connect(course.folder / "grader.sqlite3", isolation_level=None)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-400000"):
        database.execute(f"PRAGMA {pragma}")
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" ")
    each = max(1, reports // (2 * students))
    database.execute("BEGIN")
    database.execute("INSERT INTO blobs VALUES (?, 1000, zeroblob(400))", ("0" * 64,))
    counting = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?)"
    database.execute(
        f"""{counting} INSERT INTO submissions (id, published_id, user_id, number, blob_digest, file_name, received_at,
        days_late, state, report_id, score, via, finished_at)
        SELECT i, 1 + i % 2, g.user_id, 1 + (i - 1) / (2 * {students}), '{"0" * 64}', 'homework.ipynb', '{now}', 0,
        'graded', i, abs(random()) % 101, 'web', '{now}'
        FROM c JOIN (SELECT user_id, row_number() OVER (ORDER BY user_id) - 1 AS n FROM grades WHERE published_id = 1) g
        ON g.n = ((i - 1) / 2) % {students}""",
        (2 * students * each,),
    )
    database.execute(
        f"""INSERT INTO reports (id, submission_id, digest, assignment_version, status, score, max_score, content,
        created_at) SELECT id, id, '{"0" * 64}', 'v', 'graded', score, 100, ?, '{now}' FROM submissions""",
        (packed,),
    )
    database.execute(
        """WITH RECURSIVE k(p) AS (SELECT 0 UNION ALL SELECT p + 1 FROM k WHERE p < 16)
        INSERT INTO check_results SELECT id, p, 'check_' || p, 'part_' || (p / 5),
        CASE WHEN (id * 7 + p * 13) % 100 < score THEN 'passed' ELSE 'failed' END, 5, 5,
        CASE WHEN (id * 7 + p * 13) % 100 < score THEN NULL ELSE 'mistake_' || (id % 23) END FROM reports, k"""
    )
    database.execute(
        """UPDATE grades SET status = 'graded', attempts = (SELECT count(*) FROM submissions s WHERE s.published_id =
        grades.published_id AND s.user_id = grades.user_id), (submission_id, score, computed) = (SELECT s.id, s.score,
        s.score FROM submissions s WHERE s.published_id = grades.published_id AND s.user_id = grades.user_id
        ORDER BY s.score DESC, s.number LIMIT 1)"""
    )
    database.execute("COMMIT")
    database.execute("ANALYZE")
    database.close()


def _example() -> Report:
    """A report of ordinary size."""
    store_free = Report(
        assignment="numpy_autodiff", assignment_version="v", status=ReportStatus.GRADED, score=50, max_score=100,
        printed=random.Random(3).randbytes(1000).hex(),
    )  # fmt: skip
    return store_free


def queries(folder: Path, reports: int, students: int = 2000) -> None:
    course = Course(folder, students)
    began = time.perf_counter()
    fill(course, reports, students)
    size = (folder / "grader.sqlite3").stat().st_size / (1 << 30)
    store = Store(f"sqlite:///{folder}/grader.sqlite3")
    with store.read() as session:
        count = session.query(StoredReport).count()
    store.close()
    line(f"{count:,} reports, {students:,} students", f"{size:.1f} GiB", f"made in {time.perf_counter() - began:.0f} s")
    grades = "/api/v1/courses/load/grades?assignment=numpy_autodiff"
    some = f"{grades}&section=3&min_score=50&max_score=99&sort=-score&limit=50"
    asked = [
        ("filtered page: section, score range, sorted", some, 50, {}),
        ("page in the middle of all, by name", "/api/v1/courses/load/grades?sort=name&limit=100&q=Student+1", 50, {}),
        ("one student's grades", "/api/v1/courses/load/students/u1234/grades", 50, {}),
        ("CSV of one assignment, all students", grades, 1000, {"Accept": "text/csv"}),
        ("statistics of one assignment", "/api/v1/courses/load/assignments/numpy_autodiff/statistics", 0, {}),
    ]  # fmt: skip
    with serving(course, slots=0) as (url, _), client_of(url) as client:
        for what, path, target, headers in asked:
            took = []
            for _ in range(20):
                began = time.perf_counter()
                answer = client.get(path, headers={"Authorization": f"Bearer {course.tokens['tina']}", **headers})
                took.append(time.perf_counter() - began)
                assert answer.status_code == 200, answer.text
            if headers:
                assert answer.text.count("\n") == students + 1, "every student is in the CSV"
            line(what, f"{1000 * statistics.median(took):.0f} ms", f"under {target} ms" if target else "")


def line(what: str, got: str, target: str) -> None:
    print(f"{what:<52} {got:>20}   {target}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60, help="length of the sustained and of the steady load")
    parser.add_argument("--reports", type=int, default=1_000_000, help="size of the database for the queries")
    parser.add_argument("--only", choices=("rest", "sustained", "steady", "queries"), action="append")
    options = parser.parse_args()
    wanted = options.only or ["rest", "sustained", "steady", "queries"]
    with tempfile.TemporaryDirectory(prefix="grader-load-") as scratch:
        if set(wanted) - {"queries"}:
            folder = Path(scratch) / "load"
            folder.mkdir()
            course, make = Course(folder), variants()
            with serving(course) as (url, pid):
                warm = Tally()
                with client_of(url) as client:
                    for number, (name, _, _) in enumerate(MIX * 2):
                        submit(client, course.tokens[f"u{number:04d}"], make(name), warm)
                complain(warm)
                if "rest" in wanted:
                    at_rest(url, course, make)
                    pages(url, course, make)
                if "sustained" in wanted:
                    sustained(url, pid, course, make, options.seconds)
                if "steady" in wanted:
                    steady(url, pid, course, make, options.seconds)
        if "queries" in wanted:
            folder = Path(scratch) / "queries"
            folder.mkdir()
            queries(folder, options.reports)


if __name__ == "__main__":
    main()
