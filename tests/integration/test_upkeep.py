"""What the service does without being asked: each task, once a period, and a worker whose sandbox does not hold."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy import func, select, text, update

from grader import upkeep
from grader.doctor import Examination
from grader.queue.choosing import periodic_of
from grader.queue.periodic import Task, Timer
from grader.sandbox.limits import Mode
from grader.sandbox.selftest import Finding
from grader.service import accounts, publishing
from grader.service.access import SHELL, Scope
from grader.store.models import AuditEvent, Instance, Job, Published, SignInFailure, SignInLink, Token, Worker
from grader.store.states import JobState, SubmissionState

from .service import COURSE, SUMS, Kit, program
from .test_worker import until

SOUND = Examination(machine="here", mode=Mode.A, findings=(Finding(name="fork", held=True, evidence="refused"),))
BROKEN = replace(SOUND, findings=(Finding(name="fork", held=False, evidence="possible: 7"),))


def after(kit: Kit, **time: float) -> datetime:
    return kit.service.now() + timedelta(**time)


# Cleaning up -------------------------------------------------------------------------------------------------------


def clean(kit: Kit) -> dict[str, int]:
    with kit.service.store.write() as session:
        return upkeep.clean_up(session, kit.service.now())


def test_what_is_of_no_use_any_more_goes_and_the_rest_stays(kit: Kit) -> None:
    with kit.service.store.write() as session:
        for days in (0.5, 1.5):
            session.add(SignInFailure(key="k" * 64, at=after(kit, days=-days)))
        for number, (used, expires) in enumerate([(None, 1), (-29, 1), (-31, 1), (None, -31), (None, -29)]):
            at = None if used is None else after(kit, days=used)
            session.add(
                SignInLink(
                    user_id=kit.ids["ada"], digest=f"{number:064}", created_at=after(kit, days=-50),
                    expires_at=after(kit, days=expires), used_at=at,
                )
            )  # fmt: skip
        for number, revoked in enumerate((-31, -29)):
            token, _ = accounts.make_token(
                session, SHELL, kit.ids["bob"], f"old {number}", [Scope.SUBMIT], None, after(kit)
            )
            token.revoked_at = after(kit, days=revoked)
        for hours in (1, 25):
            seen = after(kit, hours=-hours)
            session.add(Worker(name=f"there/1:{hours}:1", started_at=seen, seen_at=seen, mode="A", detail={}))
        events = session.scalar(select(func.count()).select_from(AuditEvent))
    assert clean(kit) == {"sign_in_failures": 1, "sign_in_links": 2, "tokens": 1, "workers": 1, "jobs": 0}
    assert not any(clean(kit).values())
    with kit.service.store.read() as session:
        assert session.scalar(select(func.count()).select_from(AuditEvent)) == events
        assert session.scalars(select(Worker.name)).all() == ["there/1:1:1"]
        assert session.scalars(select(Token.name).where(Token.name.startswith("old"))).all() == ["old 1"]


def test_old_gradings_go_and_their_reports_and_what_failed_stay(kit: Kit) -> None:
    good = kit.hand_in("ada")
    bad, waiting = kit.hand_in("bob"), kit.hand_in("chen", program(salt="waits"))
    kit.grade()
    with kit.service.store.write() as session:
        session.execute(update(Job).values(ended_at=after(kit, days=-91)))
        session.execute(update(Job).where(Job.submission_id == bad).values(state=JobState.FAILED))
        session.execute(update(Job).where(Job.submission_id == waiting).values(state=JobState.QUEUED, ended_at=None))
    assert clean(kit)["jobs"] == 1
    with kit.service.store.read() as session:
        assert set(session.scalars(select(Job.submission_id))) == {bad, waiting}
    assert kit.submission(good).state is SubmissionState.GRADED
    assert kit.browser("teacher").get(f"/submissions/{good}").status_code == 200


# Closing of deadlines ----------------------------------------------------------------------------------------------


def close(kit: Kit, now: datetime | None = None) -> int:
    with kit.service.store.write() as session:
        return upkeep.close_deadlines(session, now or kit.service.now())


def closed(kit: Kit) -> list[tuple[int | None, dict[str, Any]]]:
    """Whom each event concerns, and what it says but for the time."""
    with kit.service.store.read() as session:
        events = session.scalars(select(AuditEvent).where(AuditEvent.action == upkeep.CLOSED).order_by(AuditEvent.id))
        return [(e.user_id, {k: v for k, v in (e.after or {}).items() if k != "closed_at"}) for e in events]


def test_a_deadline_closes_once_and_again_when_it_was_moved(kit: Kit) -> None:
    kit.hand_in("ada")
    kit.grade()
    kit.hand_in("bob", program(salt="no verdict yet"))
    assert close(kit) == 0
    due = after(kit, minutes=-5)
    kit.rules(due_at=due, late_days=1)
    assert close(kit) == 0  # late files are taken
    kit.rules(due_at=due, late_days=0)
    assert [close(kit), close(kit)] == [1, 0]
    counts = {"students": 3, "handed_in": 2, "missing": 1, "waiting": 1, "more_time": 0}
    assert closed(kit) == [(None, counts)]
    kit.rules(due_at=after(kit, days=1))
    assert close(kit) == 0
    kit.rules(due_at=after(kit, minutes=-1))
    assert close(kit) == 0  # what began to arrive in time may still be on its way
    kit.rules(due_at=after(kit, minutes=-3))
    assert close(kit) == 1
    page = kit.browser("tina").get(f"/courses/{COURSE}/audit", params={"action": upkeep.CLOSED}).text
    assert page.count("deadline passed") >= 2
    assert "handed nothing in" in page


def test_a_student_with_more_time_closes_later(kit: Kit) -> None:
    kit.rules(due_at=after(kit, minutes=-5), late_days=0)
    with kit.service.store.write() as session:
        published = session.scalars(select(Published).where(Published.name == SUMS).order_by(Published.id)).first()
        assert published is not None
        later = after(kit, minutes=-3)
        publishing.extend(
            session, SHELL, published, "chen", due_at=after(kit, hours=1), extra_attempts=0, reason="ill",
            now=kit.service.now(),
        )  # fmt: skip
    assert close(kit) == 1
    assert closed(kit)[0][1] == {"students": 3, "handed_in": 0, "missing": 2, "waiting": 0, "more_time": 1}
    with kit.service.store.write() as session:
        published = session.scalars(select(Published).where(Published.name == SUMS).order_by(Published.id)).first()
        assert published is not None
        publishing.extend(
            session, SHELL, published, "chen", due_at=later, extra_attempts=0, reason="less", now=kit.service.now()
        )  # fmt: skip
    assert [close(kit), close(kit)] == [1, 0]
    assert closed(kit)[1] == (kit.ids["chen"], {"handed_in": False})


def test_a_deadline_of_long_ago_is_left_alone(kit: Kit) -> None:
    """So a service that is new to this does not fill the log with its past."""
    kit.rules(opens_at=after(kit, days=-90), due_at=after(kit, days=-31), late_days=0)
    assert close(kit) == 0


# Once a period -----------------------------------------------------------------------------------------------------


@pytest.fixture
def counted() -> tuple[Task, list[datetime]]:
    told: list[datetime] = []
    return Task(name="count", cron="* * * * *", every_s=10**9, run=lambda session, now: told.append(now)), told


@pytest.mark.sqlite
def test_of_several_timers_one_does_the_work_of_a_period(kit: Kit, counted: tuple[Task, list[datetime]]) -> None:
    task, told = counted
    timers = [Timer(kit.service.store, [task], lambda: None) for _ in range(4)]
    threads = [threading.Thread(target=timer.look) for timer in timers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1
    with kit.service.store.write() as session:  # the next period
        session.execute(update(Instance).where(Instance.key == "periodic.count").values(value="0"))
    assert [Timer(kit.service.store, [task], lambda: None).look() for _ in range(2)] == [["count"], []]


@pytest.mark.sqlite
def test_work_that_failed_is_done_by_the_next_who_looks(kit: Kit, counted: tuple[Task, list[datetime]]) -> None:
    task, told = counted

    def fail(session: Any, now: datetime) -> None:
        raise RuntimeError("this time it fails")

    timer = Timer(kit.service.store, [replace(task, run=fail)], lambda: None)
    assert timer.look() == []
    assert Timer(kit.service.store, [task], lambda: None).look() == ["count"]
    assert len(told) == 1


def test_procrastinate_defers_one_job_a_period(postgresql_kit: Kit, counted: tuple[Task, list[datetime]]) -> None:
    from procrastinate.periodic import PeriodicDeferrer

    from grader.queue.deferring import QUEUE, Deferring

    task, told = counted
    task = replace(task, cron="0 0 29 2 *")  # never by itself
    many = [Deferring(postgresql_kit.service.store, [task], f"worker {n}", lambda: None) for n in range(3)]

    async def defer(one: Deferring, at: int) -> None:
        app = one.app()
        async with app.open_async():
            periodic = next(p for (name, _), p in app.periodic_registry.periodic_tasks.items() if name == "count")
            await PeriodicDeferrer(app.periodic_registry).defer_jobs([(periodic, at)])

    async def work(one: Deferring) -> None:
        app = one.app()
        async with app.open_async():
            await app.run_worker_async(queues=[QUEUE], wait=False, install_signal_handlers=False)

    async def all_of_it() -> None:
        for at in (60, 120):
            await asyncio.gather(*(defer(one, at) for one in many))
            await asyncio.gather(*(work(one) for one in many))

    # In a thread of its own: other tests of this process may have left a loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, all_of_it()).result()
    assert len(told) == 2


def test_every_living_worker_is_asked_for_its_own(postgresql_kit: Kit) -> None:
    from grader.queue.deferring import OWN, ask_every_worker, forget

    asked: list[threading.Event] = [threading.Event() for _ in range(2)]
    store = postgresql_kit.service.store
    with store.write() as session:
        for number, seen in enumerate((0, 0, -3600)):
            at = after(postgresql_kit, seconds=seen)
            session.add(Worker(name=f"there/1:{number}:1", started_at=at, seen_at=at, mode="A", detail={}))
    every = [periodic_of(store, [], f"there/1:{n}:1", event.set) for n, event in enumerate(asked)]
    for one in every:
        one.start()
    try:
        with store.write() as session:
            assert ask_every_worker(session, postgresql_kit.service.now()) == 2
        for event in asked:
            assert event.wait(20)
        with store.write() as session:
            assert ask_every_worker(session, postgresql_kit.service.now()) == 2
    finally:
        for one in every:
            one.close()
    with store.write() as session:  # a worker that was killed in the middle, an hour ago
        session.execute(text("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '2 hours')"))
        session.execute(
            text(
                "UPDATE procrastinate_jobs SET status = 'doing', worker_id = "
                "(SELECT min(id) FROM procrastinate_workers WHERE last_heartbeat < now() - interval '1 hour')"
            )
        )
        forget(session, postgresql_kit.service.now())
        assert session.scalar(text(f"SELECT count(*) FROM procrastinate_jobs WHERE task_name = '{OWN}'")) == 0
        silent = "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat < now() - interval '1 hour'"
        assert session.scalar(text(silent)) == 0


# Self-test ---------------------------------------------------------------------------------------------------------


def test_a_worker_whose_self_test_fails_takes_nothing_until_it_holds_again(
    kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    found = [BROKEN]
    with kit.working() as worker:
        test = upkeep.SelfTest(lambda: found[0], worker, Mode.A)
        assert not test.test()
        assert "takes no jobs: fork: possible: 7" in caplog.text
        worker._announce(datetime.now(UTC))
        number = kit.hand_in("ada")
        kit.service._posture = None
        answer = kit.client().get("/health/ready")
        assert answer.status_code == 503
        assert "self-test" in json.dumps(answer.json())
        page = kit.browser("teacher").get("/system").text
        assert "takes no jobs" in page
        assert "fork: possible: 7" in page
        assert "the self-test of the sandbox fails" in kit.browser("tina").get(f"/courses/{COURSE}").text
        assert kit.submission(number).state is SubmissionState.QUEUED
        found[0] = SOUND
        assert test.test()
        until(lambda: kit.submission(number).state is SubmissionState.GRADED)
        worker._announce(datetime.now(UTC))
        kit.service._posture = None
        assert kit.client().get("/health/ready").status_code == 200


def test_what_fails_a_self_test() -> None:
    assert upkeep.failure(SOUND, Mode.A) == ""
    assert upkeep.failure(BROKEN, Mode.A) == "fork: possible: 7"
    assert upkeep.failure(replace(SOUND, mode=Mode.B), Mode.A) == ""
    assert "mode C now" in upkeep.failure(replace(SOUND, mode=Mode.C), Mode.B)
    assert upkeep.failure(replace(BROKEN, mode=Mode.C), Mode.C) == ""  # by consent
    assert upkeep.failure(replace(SOUND, mode=Mode.C, refused="no namespaces"), Mode.A) == "no namespaces"


def test_a_self_test_that_does_not_end_well_holds_the_worker_and_is_repeated(
    kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter([OSError("no processes left"), SOUND])

    def examine() -> Examination:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return cast(Examination, answer)

    test = upkeep.SelfTest(examine, kit.worker, Mode.A)
    test.start()
    until(lambda: kit.worker.examined.get("failed") == "")  # it is repeated at once
    assert kit.worker.held == ""
    assert "it did not end: no processes left" in caplog.text
    test.close()
