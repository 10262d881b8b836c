"""A whole service for tests: two courses with their people, published assignments, an engine without a sandbox.

    def test_something(kit: Kit) -> None:                       # fixtures `kit` and `shared_kit` of conftest.py
        with kit.client("ada") as ada:                          # REST, with ada's token
            answer = ada.post("/api/v1/courses/dl/assignments/sums/submissions", files={"file": ("a.py", program())})
        kit.grade()                                             # every job that waits, now, in this thread
        with kit.browser("tina") as tina:                       # pages, signed in by cookie
            tina.get("/courses/dl/gradebook")

`kit.url` starts uvicorn in a thread on a free port of loopback when first asked for, so streams, timeouts and parallel
requests are real. `kit.working()` runs a worker in threads instead of `grade()`. What the engine says follows from the
uploaded text alone: see `program`. Nothing here sleeps or needs the network.

Course `dl` has root (admin), teacher (instructor), tina and tom (TAs), ada and bob (students of section A) and chen
(section B); course `other` has olga (instructor), oscar (TA) and otto (student). `sums` is a small assignment of the
kit's own with one hidden check, shown after the deadline; numpy_autodiff and tensorflow_basics are the real ones.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy import QueuePool, select
from starlette.responses import Response

from grader import wording
from grader.assignments import Assignment
from grader.events import Bus
from grader.grading import Engine
from grader.queue.choosing import queue_of
from grader.queue.names import worker_name
from grader.reports import CheckResult, PartScore, Report, ReportStatus, Status, Text, Worst
from grader.sandbox.limits import Mode
from grader.service import accounts, publishing, recording, roster, submitting
from grader.service.access import SHELL, Actor, Scope, actor_of
from grader.service.catalogue import Catalogue
from grader.service.publishing import Rules
from grader.store import migrating
from grader.store.engine import Store
from grader.store.models import Course, Published, Submission, User
from grader.store.states import Release, Role
from grader.web import security
from grader.web.hosting import Service
from grader.worker import Worker
from tests import databases

PROJECT = Path(__file__).resolve().parents[2]
PASSWORD = "twelve blue herons"  # of everybody
COURSE, OTHER_COURSE = "dl", "other"
SUMS, NUMPY, TENSORFLOW = "sums", "numpy_autodiff", "tensorflow_basics"
HIDDEN_CHECK, HIDDEN_POINTS = "subtract_works_for_large_numbers", 30.0
PEOPLE = {
    "root": (COURSE, Role.ADMIN, "Rosa Roth", ""),
    "teacher": (COURSE, Role.INSTRUCTOR, "Theo Teich", ""),
    "tina": (COURSE, Role.TA, "Tina Tal", "A"),
    "tom": (COURSE, Role.TA, "Tom Thorn", "B"),
    "ada": (COURSE, Role.STUDENT, "Ada Abel", "A"),
    "bob": (COURSE, Role.STUDENT, "Bob Birk", "A"),
    "chen": (COURSE, Role.STUDENT, "陈晨", "B"),
    "olga": (OTHER_COURSE, Role.INSTRUCTOR, "Olga Orth", ""),
    "oscar": (OTHER_COURSE, Role.TA, "Oscar Ost", ""),
    "otto": (OTHER_COURSE, Role.STUDENT, "Otto Ohm", ""),
}


# Uploads, and the engine that reads them ---------------------------------------------------------------------------


def program(
    *, fail: Sequence[str] = (), mistake: str = "", kind: str = "graded", seconds: float = 0.0, printed: str = "",
    salt: str = "",
) -> bytes:  # fmt: skip
    """An upload, and how its grading goes: fail: ids of checks ("*": all); mistake: the name that failed checks get;
    kind: graded, not_gradable or grader_error; seconds: how long it takes; salt: makes the content another one."""
    orders = {
        "fail": list(fail), "mistake": mistake, "kind": kind, "seconds": seconds, "printed": printed, "salt": salt,
    }  # fmt: skip
    return f"# {json.dumps(orders, ensure_ascii=False)}\ndef add(a, b):\n    return a + b\n".encode()


class FakeEngine:
    """Grades `program`s as they ask; any other text gets full marks. graded: how many gradings there were."""

    def __init__(self) -> None:
        self.sandbox = SimpleNamespace(mode=Mode.A, missing=())
        self.graded = 0
        self._lock = threading.Lock()

    def grade(
        self, assignment: Assignment, file: str, data: bytes, *, seed: Any = None, on_check: Any = None
    ) -> Report:
        with self._lock:
            self.graded += 1
        orders = _orders(data)
        blank = Report(
            assignment=assignment.name, assignment_version=assignment.version, status=ReportStatus.NOT_GRADABLE,
            score=0, max_score=assignment.max_score, seed=seed or "0" * 32, file=file, mode="A",
            parts=tuple(_part(assignment, part.name, ()) for part in assignment.parts),
        )  # fmt: skip
        if orders.get("kind") == "not_gradable":
            return replace(blank, notes=(Text(en="There is nothing to run.", zh="没有可以运行的内容。"),))
        if orders.get("kind") == "grader_error":
            return replace(blank, status=ReportStatus.GRADER_ERROR, notes=(wording.grader_fault(),))
        checks: list[CheckResult] = []
        for check in assignment.checks:
            time.sleep(orders.get("seconds", 0.0) / len(assignment.checks))
            failed = check.id in orders.get("fail", ()) or "*" in orders.get("fail", ())
            checks.append(_result(check, failed, orders.get("mistake") or None))
            if on_check is not None:
                on_check(checks[-1])
        return replace(
            blank, status=ReportStatus.GRADED, score=sum(c.points for c in checks), checks=tuple(checks),
            parts=tuple(_part(assignment, part.name, checks) for part in assignment.parts),
            printed=orders.get("printed", ""), timings_ms={"total": 1.0}, runtime={"numpy": "2.4"},
        )  # fmt: skip


def _orders(data: bytes) -> dict[str, Any]:
    first = data.decode(errors="replace").partition("\n")[0]
    try:
        found = json.loads(first.removeprefix("# "))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _part(assignment: Assignment, name: str, checks: Sequence[CheckResult]) -> PartScore:
    return PartScore(
        name=name, score=sum(c.points for c in checks if c.part == name),
        max_score=sum(c.points for c in assignment.checks if c.part == name),
    )  # fmt: skip


def _result(check: Any, failed: bool, mistake: str | None) -> CheckResult:
    passed = CheckResult(
        id=check.id, part=check.part, title=check.title, status=Status.PASSED, points=check.points,
        max_points=check.points, visible=check.visible,
    )  # fmt: skip
    if not failed:
        return passed
    failed_ = replace(
        passed, status=Status.FAILED, points=0, mistake=mistake, message=Text(en="It is off.", zh="有偏差。")
    )
    if not check.visible:
        return failed_
    return replace(
        failed_, got=[1.0, 2.0], expected=[1.0, 3.0], worst=Worst(index=(1,), difference=1.0),
        input=[{"call": "add", "arguments": [1, 2]}],
    )  # fmt: skip


_LIMITS = httpx.Limits(max_connections=200)


# The kit -----------------------------------------------------------------------------------------------------------


@dataclass
class Kit:
    """A service over a database of its own. tokens: by login, with every scope; ids: of users by login."""

    service: Service
    worker: Worker
    engine: FakeEngine
    tokens: dict[str, str]
    ids: dict[str, int]
    folder: Path
    _server: tuple[uvicorn.Server, threading.Thread, str] | None = None
    _clients: list[httpx.Client] = field(default_factory=list)
    _narrow: dict[str, str] = field(default_factory=dict)  # tokens by login and scopes

    @functools.cached_property
    def app(self) -> FastAPI:
        from grader.web.api.metrics import metrics_of
        from grader.web.app import create_app

        made = create_app(self.service)
        metrics_of(made)  # as `grader serve` does: it asks the database, which a test may take away
        return made

    @property
    def url(self) -> str:
        """Where the service answers; started when first asked for."""
        if self._server is None:
            self._server = _serve(self.app)
        return self._server[2]

    def client(
        self, login: str | None = None, *, scopes: Sequence[Scope] | None = None, **options: Any
    ) -> httpx.Client:
        """REST with the token of somebody, or of nobody. scopes: only these, with a token of its own."""
        headers = dict(options.pop("headers", {}))
        if login is not None:
            token = self.tokens[login]
            if scopes is not None:
                kept = " ".join((login, *sorted(scopes)))
                token = self._narrow.get(kept) or self._narrow.setdefault(kept, self.token(login, scopes))
            headers["Authorization"] = f"Bearer {token}"
        return self._client(headers=headers, **options)

    def browser(self, login: str | None = None) -> httpx.Client:
        """Pages, as somebody who is signed in. `csrf(client)` is the token that its forms need."""
        cookies = {}
        if login is not None:
            answer = Response()
            with self.service.store.read() as session:
                epoch = session.get_one(User, self.ids[login]).session_epoch
            security.open_session(answer, self.service.secret, self.ids[login], epoch, secure=False)
            cookies[security.SESSION_COOKIE] = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
        return self._client(cookies=cookies)

    def csrf(self, client: httpx.Client) -> str:
        holder = SimpleNamespace(cookies=dict(client.cookies), state=SimpleNamespace())
        return security.form_token(cast(Any, holder), self.service.secret)

    def _client(self, **options: Any) -> httpx.Client:
        client = httpx.Client(base_url=self.url, trust_env=False, **{"timeout": 30, "limits": _LIMITS, **options})
        self._clients.append(client)
        return client

    def token(self, login: str, scopes: Sequence[Scope], days: int | None = None) -> str:
        with self.service.store.write() as session:
            return accounts.make_token(session, SHELL, self.ids[login], "of a test", scopes, days, self.service.now())[
                1
            ]

    def actor(self, login: str) -> Actor:
        with self.service.store.read() as session:
            return actor_of(session, session.get_one(User, self.ids[login]), via="api")

    def hand_in(self, login: str, data: bytes = b"x = 1\n", assignment: str = SUMS, file: str = "solution.py") -> int:
        """Submits without HTTP; returns the submission's id. `grade()` or `working()` grades it."""
        actor, upload = self.actor(login), submitting.Upload.of(file, data)
        with self.service.store.write() as session:
            now = self.service.now()
            accepted = submitting.accept(
                session, self.service.queue, actor, _published(session, assignment),
                self.service.catalogue.get(assignment), upload, now=now, received_at=now, uploads_a_minute=10_000,
            )  # fmt: skip
            return accepted.submission.id

    def grade(self) -> None:
        """Does every job that waits."""
        while self.worker.one():
            pass

    @contextmanager
    def working(self) -> Iterator[Worker]:
        """A worker in threads, which is also announced to /health/ready and to the pages."""
        worker = replace(
            self.worker, _threads=[], _running={}, _progress={}, _stopping=threading.Event(), _left=threading.Event()
        )
        self.service._posture = None
        worker.start()
        try:
            yield worker
        finally:
            worker.stop(5)
            self.service._posture = None

    def rules(self, assignment: str = SUMS, **changes: Any) -> None:
        """Other rules for an assignment of the course; see publishing.Rules."""
        with self.service.store.write() as session:
            published = _published(session, assignment)
            names = ("opens_at", "due_at", "late_days", "late_percent", "attempt_limit", "counting", "release")
            rules = Rules(**{name: getattr(published, name) for name in names} | changes)
            publishing.change(session, SHELL, published, rules, self.service.now())

    def submission(self, submission_id: int) -> Submission:
        with self.service.store.read() as session:
            return session.get_one(Submission, submission_id)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        if self._server is not None:
            server, thread, _ = self._server
            server.should_exit = True
            server.force_exit = True
            thread.join(10)
        pool = cast(QueuePool, self.service.store.engine.pool)
        deadline = time.monotonic() + 5
        while pool.checkedout() and time.monotonic() < deadline:  # a request that nobody waits for may still ask
            time.sleep(0.01)
        self.service.store.close()
        databases.drop(self.service.store.url)


def make_kit(folder: Path, **options: Any) -> Kit:
    """A new service with its database in this folder, or a new one of PostgreSQL (`pytest --database postgresql`).

    options: of hosting.Service. Close it with `close()`.
    """
    if databases.chosen() == databases.POSTGRESQL:
        store = Store(databases.fresh(_fill))
    else:
        shutil.copy(_filled_database(), folder / "grader.sqlite")
        store = Store(f"sqlite:///{folder / 'grader.sqlite'}")
    engine, bus = FakeEngine(), Bus()
    service = Service(
        **{
            "store": store, "queue": queue_of(store), "bus": bus, "catalogue": _catalogue(), "secret": b"s" * 32,
            "hosts": frozenset({"127.0.0.1", "localhost"}), "uploads_a_minute": 10_000, "requests_a_minute": 1_000_000,
            **options,
        }
    )  # fmt: skip
    worker = Worker(
        store=store, queue=service.queue, engine=cast(Engine, engine), catalogue=service.catalogue, bus=bus,
        name=worker_name(), runtimes=("numpy", "tensorflow"), slots=2,
    )  # fmt: skip
    with store.read() as session:
        ids = {login: number for login, number in session.execute(select(User.login, User.id))}
    return Kit(service=service, worker=worker, engine=engine, tokens=_tokens(), ids=ids, folder=folder)


@functools.cache
def _scratch() -> Path:
    """A folder of this process that pytest's end takes away."""
    holder = tempfile.TemporaryDirectory(prefix="grader-kit-")
    _kept.append(holder)
    return Path(holder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def _tokens() -> dict[str, str]:
    return {login: f"grader_test-token-of-{login}" for login in PEOPLE}


@functools.cache
def _filled_database() -> Path:
    """A database with everybody in it, made once a process and copied for each kit."""
    path = _scratch() / "filled.sqlite"
    store = Store(f"sqlite:///{path}")
    _fill(store)
    store.backup(path.with_name("ready.sqlite"))
    store.close()
    return path.with_name("ready.sqlite")


def _fill(store: Store) -> None:
    migrating.upgrade(store)
    now = datetime.now(UTC)
    password = accounts.hash_password(PASSWORD)
    with store.write() as session:
        courses = {
            name: publishing.make_course(session, SHELL, name, title, "Asia/Shanghai", now)
            for name, title in ((COURSE, "Deep Learning"), (OTHER_COURSE, "Another Course"))
        }
        for line, (login, (belongs, role, name, section)) in enumerate(PEOPLE.items()):
            person = roster.Person(
                line=line, login=login, name=name, email=f"{login}@example.org", section=section, role=role
            )
            user = roster.enrol(session, SHELL, courses[belongs], person, now)
            user.password_hash = password
            token, _ = accounts.make_token(session, SHELL, user.id, "everything", list(Scope), None, now)
            token.digest = hashlib.sha256(_tokens()[login].encode()).hexdigest()
        week = timedelta(days=7)
        rules = Rules(opens_at=now - week, due_at=now + week, late_days=2, late_percent=10)
        catalogue = _catalogue()
        publishing.publish(session, SHELL, courses[COURSE], catalogue, NUMPY, rules, now)
        publishing.publish(session, SHELL, courses[COURSE], catalogue, TENSORFLOW, replace(rules, attempt_limit=3), now)
        hidden = replace(rules, release=Release.AFTER_DUE)
        publishing.publish(session, SHELL, courses[COURSE], catalogue, SUMS, hidden, now)
        publishing.publish(session, SHELL, courses[OTHER_COURSE], catalogue, SUMS, rules, now)
        for course in courses.values():
            recording.make_rows(session, course.id, now)


def _published(session: Any, name: str) -> Published:
    found: Published = session.scalars(
        select(Published).join(Course).where(Course.name == COURSE, Published.name == name)
    ).one()
    return found


def _serve(app: FastAPI) -> tuple[uvicorn.Server, threading.Thread, str]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(app, http="h11", lifespan="off", log_config=None, access_log=False, server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="uvicorn", daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline, "uvicorn did not start"
        assert thread.is_alive(), "uvicorn ended"
        time.sleep(0.005)
    return server, thread, f"http://127.0.0.1:{listener.getsockname()[1]}"


# The kit's own assignment ------------------------------------------------------------------------------------------

_FILES = {
    "assignment.toml": """
runtime = "numpy"
[title]
en = "Sums and differences"
zh = "和与差"
[[part]]
name = "add"
asks = ["add"]
title = { en = "add: the sum", zh = "add：和" }
[[part]]
name = "subtract"
asks = ["subtract"]
title = { en = "subtract: the difference", zh = "subtract：差" }
""",
    "checks.py": '''
from grader.checks import check, close


@check(part="add", points=40)
def add_works(student, reference, rng):
    """add gives the sum

    zh: add 返回和
    """
    close(student.add(1, 2), 3)


@check(part="subtract", points=30)
def subtract_works(student, reference, rng):
    """subtract gives the difference

    zh: subtract 返回差
    """
    close(student.subtract(3, 2), 1)


@check(part="subtract", points=30, visible=False)
def subtract_works_for_large_numbers(student, reference, rng):
    """subtract works for large numbers

    zh: subtract 对很大的数也正确
    """
    close(student.subtract(1e9, 1), 1e9 - 1)
''',
    "solution.py": "def add(a, b):\n    return a + b\n\n\ndef subtract(a, b):\n    return a - b\n",
    "starter.py": '"""Sums."""\n\n\ndef add(a, b):\n    pass\n\n\ndef subtract(a, b):\n    pass\n',
    "statement.en.md": "# Sums\n\nWrite `add` with $a + b$.\n",
    "statement.zh.md": "# 和\n\n写出 `add`，返回 $a + b$。\n",
    "mistakes/swapped.py": '''"""The arguments are swapped.

zh: 参数的顺序反了。
"""

PART = "subtract"


def subtract(a, b):
    return b - a
''',
}


@functools.cache
def _catalogue() -> Catalogue:
    root = _scratch() / "reference"
    for name in (NUMPY, TENSORFLOW):
        shutil.copytree(PROJECT / "reference" / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in _FILES.items():
        path = root / SUMS / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Catalogue(root)
