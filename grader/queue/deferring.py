"""Periodic work on PostgreSQL: Procrastinate's own worker, on an asyncio loop in a thread of every process that grades.

Each of these workers tries to defer each period's job; the database lets one succeed. Whoever is free does it. What
every worker does for itself comes as a job in a queue of its own, one for each worker that lives.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector, exceptions
from procrastinate import jobs as deliveries
from procrastinate.sql import queries
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from grader.queue.delivering import TASK, deliver
from grader.queue.periodic import HOURLY, Task
from grader.store.engine import Store
from grader.store.models import Job, Worker
from grader.store.states import JobState

log = logging.getLogger("grader")

QUEUE: Final = "upkeep"
OWN: Final = "own_upkeep"
ASK: Final = "ask_every_worker"
FORGET: Final = "forget_old_deliveries"
_SILENT = timedelta(seconds=30)
_LONG_SILENT_S = 3600.0  # far beyond the time after which jobs are taken back: a worker that was struck off is lost
_FAILED_KEPT_H = 24
_AGAIN_S = 5.0
_CONNECTIONS = 3  # one listens
_UNDELIVERED = text("NOT EXISTS (SELECT 1 FROM procrastinate_jobs p WHERE p.id = jobs.delivery AND p.status = 'todo')")
_LOUD = ("procrastinate", "psycopg.pool")  # a traceback for every try while the server is away; ours is one line


class Deferring:
    """Periodic, over PostgreSQL."""

    def __init__(self, store: Store, tasks: Sequence[Task], worker: str, own: Callable[[], None]) -> None:
        self._store, self._tasks, self._own = store, tasks, own
        self._queue = queue_of_worker(worker)
        self._closing = threading.Event()
        self._stop: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._run, name="periodic", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._stop()
        if self._thread.is_alive():
            self._thread.join(5)

    def app(self) -> App:
        """Procrastinate's application: every task, and when each is deferred."""
        app = App(connector=PsycopgConnector(kwargs=self._connect(), min_size=1, max_size=_CONNECTIONS))
        for task in self._tasks:
            self._register(app, task.name, task.cron, task.run)
        self._register(app, FORGET, HOURLY, forget)
        self._register(app, ASK, HOURLY, ask_every_worker)

        def own(timestamp: int) -> None:
            self._own()

        app.task(name=OWN, queue=self._queue)(own)
        return app

    def _register(self, app: App, name: str, cron: str, run: Callable[[Session, datetime], object]) -> None:
        def done(timestamp: int) -> None:
            try:
                with self._store.write() as session:
                    run(session, datetime.now(UTC))
            except Exception:
                log.exception("%s failed; its next period comes", name)
                raise

        task = app.task(name=name, queue=QUEUE, queueing_lock=name)(done)  # the lock: at most one waits
        app.periodic(cron=cron, periodic_id=name)(task)

    def _connect(self) -> dict[str, Any]:
        engine = self._store.engine
        _, options = engine.dialect.create_connect_args(engine.url)
        return {**options, "connect_timeout": 5, "application_name": "grader periodic"}

    def _run(self) -> None:
        for name in _LOUD:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        broken = False
        while not self._closing.is_set():
            try:
                asyncio.run(self._serve())
                broken = False
            except Exception as error:
                if not broken:  # once for each interruption
                    log.warning("periodic work is interrupted: %s", " ".join(str(error).split()))
                broken = True
            self._closing.wait(_AGAIN_S)

    async def _serve(self) -> None:
        app = self.app()
        async with app.open_async():
            working = asyncio.create_task(
                app.run_worker_async(
                    queues=[QUEUE, self._queue], name="periodic", concurrency=1, install_signal_handlers=False,
                    delete_jobs=deliveries.DeleteJobCondition.SUCCESSFUL, shutdown_graceful_timeout=5,
                    stalled_worker_timeout=_LONG_SILENT_S,
                )
            )  # fmt: skip
            loop = asyncio.get_running_loop()
            self._stop = lambda: _quietly(loop, working)
            try:
                if self._closing.is_set():
                    working.cancel()
                with suppress(asyncio.CancelledError):
                    await working
            finally:
                self._stop = lambda: None


def _quietly(loop: asyncio.AbstractEventLoop, working: asyncio.Task[None]) -> None:
    with suppress(RuntimeError):  # it has ended just now
        loop.call_soon_threadsafe(working.cancel)


def queue_of_worker(name: str) -> str:
    """The queue of one worker. Short: it is part of the name of a channel, which has 63 characters."""
    return f"worker:{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def ask_every_worker(session: Session, now: datetime) -> int:
    """A job for each worker that lives, in its own queue. Returns how many. Those of the last hour are taken away."""
    session.connection().exec_driver_sql(
        "DELETE FROM procrastinate_jobs WHERE task_name = %s AND status = 'todo'", (OWN,)
    )
    living = session.scalars(select(Worker.name).where(Worker.seen_at > func.now() - _SILENT)).all()
    made = [
        deliveries.Job(
            id=None, task_name=OWN, queue=queue_of_worker(name), lock=None, queueing_lock=None,
            task_kwargs={"timestamp": int(now.timestamp())},
        )
        for name in living
    ]  # fmt: skip
    if made:
        deferrer = App(connector=SyncPsycopgConnector())  # never opened: it works on the session's connection
        with suppress(exceptions.AlreadyEnqueued):
            deferrer.job_manager.batch_defer_jobs(made, connection=session.connection().connection.driver_connection)
    return len(made)


def forget(session: Session, now: datetime) -> None:
    """Procrastinate's rows that nobody needs: periodic jobs that failed long ago or whose worker was lost in the
    middle (their next period comes), workers that fell silent. Jobs that are gradings are the queue's own; one that
    waits and has lost its delivery gets another."""
    connection = session.connection()
    for row in session.scalars(select(Job).where(Job.state == JobState.QUEUED, _UNDELIVERED)).all():
        log.error("the delivery of job %d was gone; it has a new one", row.id)
        deliver(session, [row])
    stalled = connection.exec_driver_sql(
        queries["select_stalled_jobs_by_heartbeat"],
        {"queue": None, "task_name": None, "seconds_since_heartbeat": _LONG_SILENT_S},
    )
    for job in stalled.mappings().all():
        if job["task_name"] != TASK:
            connection.exec_driver_sql(
                queries["finish_job"], {"job_id": job["id"], "status": "failed", "delete_job": True}
            )
    ended = [status.value for status in deliveries.Status if status.value not in ("todo", "doing")]
    connection.exec_driver_sql(
        queries["delete_old_jobs"], {"statuses": ended, "queue": None, "nb_hours": _FAILED_KEPT_H}
    )
    connection.exec_driver_sql(queries["prune_stalled_workers"], {"seconds_since_heartbeat": _LONG_SILENT_S})
