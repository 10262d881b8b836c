"""Hears what other processes NOTIFY on PostgreSQL, on one connection of this process that is made again when it breaks.

Nothing may depend on a notification to arrive: while the connection is down some are lost, and whoever listens is only
told that (`missed`) when it is back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import psycopg
from psycopg import sql
from sqlalchemy.exc import SQLAlchemyError

from grader.store.engine import Store

log = logging.getLogger("grader")

_LOOK_S = 0.5  # how soon it notices that it shall end
_AGAIN_S = (0.2, 5.0)  # first and longest wait before it connects again

Callback = Callable[[str], None]


class Listener:
    """Calls back with the text of each notification of a channel. Callbacks must return at once.

    missed: called after every reconnection, when notifications may have been lost. reconnects: how many there were.
    """

    def __init__(self, store: Store) -> None:
        self.reconnects = 0
        self._store = store
        self._callbacks: dict[str, Callback] = {}
        self._missed: list[Callable[[], None]] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listen", daemon=True)

    def on(self, channel: str, callback: Callback, *, missed: Callable[[], None] | None = None) -> None:
        """Before `start`."""
        self._callbacks[channel] = callback
        if missed is not None:
            self._missed.append(missed)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def notify(self, channel: str, text: str) -> None:
        """Tells every process that listens. A failure is logged only: nothing depends on it."""
        try:
            with self._store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("SELECT pg_notify(%s, %s)", (channel, text))
        except SQLAlchemyError as error:
            log.warning("others could not be told of an event: %s", getattr(error, "orig", error))

    def _run(self) -> None:
        wait = _AGAIN_S[0]
        broken = False
        while not self._closing.is_set():
            try:
                with self._connect() as connection:
                    if broken:
                        self.reconnects += 1
                        for callback in self._missed:
                            _told(callback)
                    wait, broken = _AGAIN_S[0], False
                    self._listen(connection)
            except psycopg.Error as error:
                if not broken:
                    log.warning("notifications of the database are interrupted: %s", " ".join(str(error).split()))
                broken = True
                self._closing.wait(wait)
                wait = min(2 * wait, _AGAIN_S[1])

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        engine = self._store.engine
        arguments, options = engine.dialect.create_connect_args(engine.url)
        return psycopg.connect(*arguments, **{**options, "autocommit": True, "connect_timeout": 5})

    def _listen(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        for channel in self._callbacks:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        asked = time.monotonic()
        while not self._closing.is_set():
            for notification in connection.notifies(timeout=_LOOK_S, stop_after=1):
                _told(self._callbacks[notification.channel], notification.payload)
            if time.monotonic() - asked > 30:  # a connection that was cut silently says so only when it is used
                connection.execute("SELECT 1")
                asked = time.monotonic()


def _told(callback: Callable[..., None], *arguments: str) -> None:
    """A listener that fails, as for a page that is gone, must not end the hearing of all others."""
    try:
        callback(*arguments)
    except Exception:
        log.exception("a listener failed")
