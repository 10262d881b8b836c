"""Server-sent events: what happens to a submission or a regrade while somebody looks.

A stream begins with what is known already, so whoever comes back after a lost connection misses nothing. Events
arrive at once through the bus, on PostgreSQL also those of other processes; what it does not tell is seen by looking
into the database every second. The same function serves REST and the pages.

    state   {"state": "queued", "before": 3, "seconds": 4.2}     both null when not waiting;
                                                                 seconds also while no worker runs
    check   {"id", "status", "points", "max_points"}             once for each check; hidden ones only when released
    done    {}                                                   the report is stored; the stream ends
    progress {"done": 3, "total": 40, "state": "running"}        of a regrade
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from grader.errors import Refused, TooMany
from grader.events import Bus, Event, regrade_topic, submission_topic
from grader.reports import Json
from grader.service import access, regrading, showing, submitting
from grader.store.models import Submission
from grader.store.states import RegradeState, Role
from grader.web.dependencies import Caller

_LOOK_S = 1.0
_LOOK_WAITING_S = 0.5
_HEARTBEAT_S = 15.0
_LONGEST_S = 1800.0  # then the browser comes again, and its right to see this is looked at anew
_MOST_STREAMS = 30  # of one person
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, kw_only=True)
class _View:
    """What the database says now. checks: by id, in order, without those that are kept back."""

    state: dict[str, Json]
    checks: Mapping[str, dict[str, Json]] = field(default_factory=dict)
    over: bool = False
    sees_hidden: bool = True


class Wakeful:
    """Events of a topic on the bus, for a coroutine: `await next(timeout)` gives one, or none when there was none."""

    def __init__(self, bus: Bus, topic: str) -> None:
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._listening = bus.listening(topic, self._hear)

    def _hear(self, event: Event) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, event)

    async def next(self, timeout_s: float) -> Event | None:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._queue.get()
        except TimeoutError:
            return None

    @property
    def empty(self) -> bool:
        return self._queue.empty()

    def __enter__(self) -> Wakeful:
        self._listening.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._listening.__exit__(None, None, None)


async def submission_events(
    who: Caller, submission_id: int, check: Callable[[Submission], None] = lambda submission: None
) -> StreamingResponse:
    """The events of a submission that the caller may see. check: raises for what else must hold.

    Raises NotFound, TooMany.
    """
    first = await run_in_threadpool(_submission_view, who, submission_id, check)
    return _answer(who, _submission(who, submission_id, first))


async def finished(who: Caller, submission_id: int, wait_s: float) -> None:
    """Returns when a submission has its verdict, or after this time. No thread is held meanwhile.

    At once for somebody who waits for too many answers already.
    """
    deadline = time.monotonic() + wait_s
    waiting, login = _open_streams(who), who.actor.login
    if waiting[login] >= _MOST_STREAMS:
        return
    with _one_more(waiting, login), Wakeful(who.service.bus, submission_topic(submission_id)) as events:
        while not await run_in_threadpool(_is_final, who, submission_id):
            look_at = min(deadline, time.monotonic() + _LOOK_WAITING_S)
            while (left := look_at - time.monotonic()) > 0:
                event = await events.next(left)
                if event is not None and event.kind == "done":
                    break
            if time.monotonic() >= deadline or who.service.bus.ended:
                return


def _is_final(who: Caller, submission_id: int) -> bool:
    with who.service.store.read() as session:
        return session.get_one(Submission, submission_id).state.final


async def regrade_events(who: Caller, course_id: int, regrade_id: int) -> StreamingResponse:
    """The progress of a regrade of a course, whose staff the caller is known to be. Raises NotFound, TooMany."""
    first = await run_in_threadpool(_regrade_view, who, course_id, regrade_id)
    return _answer(who, _regrade(who, course_id, regrade_id, first))


def _answer(who: Caller, texts: AsyncIterator[str]) -> StreamingResponse:
    open_streams, login = _open_streams(who), who.actor.login
    if open_streams[login] >= _MOST_STREAMS:
        raise TooMany("Too many pages of yours are waiting at once.", "你同时等待的页面太多。", retry_after_s=10)

    return StreamingResponse(_counted(open_streams, login, texts), media_type="text/event-stream", headers=_HEADERS)


def _open_streams(who: Caller) -> Counter[str]:
    """How many streams and waiting answers each person has, by login."""
    state = who.request.app.state
    found: Counter[str] | None = getattr(state, "open_streams", None)
    if found is None:
        found = state.open_streams = Counter()
    return found


@contextmanager
def _one_more(streams: Counter[str], login: str) -> Iterator[None]:
    streams[login] += 1
    try:
        yield
    finally:
        streams[login] -= 1
        if not streams[login]:
            del streams[login]


async def _counted(streams: Counter[str], login: str, texts: AsyncIterator[str]) -> AsyncIterator[str]:
    with _one_more(streams, login):
        try:
            async for text in texts:
                yield text
        except Refused:  # may not look any more; a browser comes again and is told
            return


def _line(kind: str, data: Mapping[str, Json]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def _submission(who: Caller, submission_id: int, view: _View) -> AsyncIterator[str]:
    sent: dict[str, dict[str, Json]] = {}
    state: dict[str, Json] = {}
    began = spoke = looked = time.monotonic()
    with Wakeful(who.service.bus, submission_topic(submission_id)) as events:
        while True:
            if view.state != state:
                if view.state["state"] == "queued":
                    sent = {}  # the worker was lost: the checks come again
                state, spoke = view.state, time.monotonic()
                yield _line("state", state)
            for check_id, check in view.checks.items():
                if sent.get(check_id) != check:
                    sent[check_id], spoke = check, time.monotonic()
                    yield _line("check", check)
            if view.over:
                yield _line("done", {})
                return
            event = await events.next(max(0.0, looked + _LOOK_S - time.monotonic()))
            check_ended = event.data if event is not None and event.kind == "check" else None
            if check_ended is not None and state["state"] == "grading":
                view = _with_check(view, check_ended)
                continue
            if time.monotonic() - began > _LONGEST_S or who.service.bus.ended:
                return
            if time.monotonic() - spoke > _HEARTBEAT_S:
                spoke = time.monotonic()
                yield ": still there\n\n"
            looked = time.monotonic()
            view = await run_in_threadpool(_submission_view, who, submission_id)
            if check_ended is not None and view.state["state"] == "grading":
                view = _with_check(view, check_ended)


def _with_check(view: _View, data: Mapping[str, Json]) -> _View:
    """The view with one more check, unless it is kept back from the one who looks."""
    if not data.get("visible", True) and not view.sees_hidden:
        return view
    if not data.keys() >= set(_SHOWN):  # not from a worker: whoever has the database may notify
        return view
    shown = _shown_check(data)
    return replace(view, checks={**view.checks, str(shown["id"]): shown})


_SHOWN = ("id", "status", "points", "max_points")


def _shown_check(data: Mapping[str, Json]) -> dict[str, Json]:
    return {name: data[name] for name in _SHOWN}


def _submission_view(
    who: Caller, submission_id: int, check: Callable[[Submission], None] = lambda submission: None
) -> _View:
    now = who.service.now()
    idle = who.service.posture().workers == 0
    with who.service.store.read() as session:
        actor = access.still(session, who.actor)
        submission = access.submission(session, actor, submission_id)
        check(submission)
        due_at = submitting.terms(session, submission.published, submission.user_id).due_at
        all_of_it = showing.may_see_all(actor, submission, due_at, now)
        if submission.state.final:
            checks = _checks_of_report(who, session, submission, now)
            place = None
        else:
            told = who.service.queue.progress(session, submission_id)
            checks = [data for data in told if all_of_it or data.get("visible", True)]
            place = who.service.queue.place(session, submission_id)
        return _View(
            state={
                "state": str(submission.state),
                "before": None if place is None else place.before,
                "seconds": None if place is None or idle else place.seconds,
            },
            checks={str(data["id"]): _shown_check(data) for data in checks},
            over=submission.state.final,
            sees_hidden=all_of_it,
        )


def _checks_of_report(who: Caller, session: Session, submission: Submission, now: datetime) -> list[dict[str, Json]]:
    report = showing.visible_report(session, who.actor, submission, now)
    return [
        {"id": check.id, "status": str(check.status), "points": check.points, "max_points": check.max_points}
        for check in (() if report is None else report.checks)
    ]


async def _regrade(who: Caller, course_id: int, regrade_id: int, view: _View) -> AsyncIterator[str]:
    state: dict[str, Json] = {}
    began = spoke = time.monotonic()
    with Wakeful(who.service.bus, regrade_topic(regrade_id)) as events:
        while True:
            if view.state != state:
                state, spoke = view.state, time.monotonic()
                yield _line("progress", state)
            if view.over:
                yield _line("done", {})
                return
            if time.monotonic() - began > _LONGEST_S or who.service.bus.ended:
                return
            if time.monotonic() - spoke > _HEARTBEAT_S:
                spoke = time.monotonic()
                yield ": still there\n\n"
            await events.next(_LOOK_S)
            while not events.empty:  # many gradings may end at once, and one look shows them all
                await events.next(0)
            view = await run_in_threadpool(_regrade_view, who, course_id, regrade_id)


def _regrade_view(who: Caller, course_id: int, regrade_id: int) -> _View:
    with who.service.store.read() as session:
        access.need_role(access.still(session, who.actor), course_id, Role.TA)
        found = regrading.progress(session, regrading.find(session, course_id, regrade_id))
    return _View(
        state={"done": found.done, "total": found.total, "state": str(found.state)},
        over=found.state is not RegradeState.RUNNING,
    )
