"""The service's log on standard error: an event is one line, as text for people or as JSON for machines.

Whatever text of people is in an event cannot begin a line, steer a terminal or end a JSON string. What is known of the
work at hand (request_id, submission_id, worker) is bound to the thread or task by structlog's context variables and
stands in every line that is written meanwhile, by whatever library.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from grader.sandbox.child import clean_text

# structlog takes as long to import as grading a small file: commands that do not serve do without it.

_QUIET = ("uvicorn.error", "alembic", "httpx", "asyncio", "procrastinate", "opentelemetry")
# The password of an address, up to its last @, in whichever place it stands; not the word for one in our own advice.
_PASSWORD = re.compile(r"(?P<before>\b[\w+.-]+://[^\s:/@]*:)(?!PASSWORD@[^\s'\"@]*(?![^\s'\"]))[^\s'\"]+(?=@)")
_OPTION = re.compile(r"(?P<before>[?&]\w*password=)[^&\s'\"]+", re.IGNORECASE)
_SHOWN = ("request_id", "submission_id")  # in text, behind an event that does not say it
_REMIND_S, _STEADY_S = 60.0, 2.0
_MOST = 100_000  # characters of one text, tracebacks included


class OneLine(logging.Formatter):
    """An event is one line, whatever text of people is in it; only tracebacks take more. No control characters.

    hidden: secrets that must not be shown even when a library puts one into a message.
    """

    def __init__(self, fmt: str, hidden: Sequence[str] = ()) -> None:
        super().__init__(fmt)
        self._hidden = hidden

    def formatMessage(self, record: logging.LogRecord) -> str:
        line, told = super().formatMessage(record), record.getMessage()
        known = _context()
        line += "".join(f" {name}={known[name]}" for name in _SHOWN if name in known and str(known[name]) not in told)
        return line.replace("\n", "\\n").replace("\t", "\\t")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return hide(clean_text(text, len(text)), self._hidden)


def _context() -> dict[str, Any]:
    """What is bound here; nothing in a process that binds nothing."""
    structlog = sys.modules.get("structlog.contextvars")
    return {} if structlog is None else structlog.get_contextvars()


def json_lines(hidden: Sequence[str] = ()) -> logging.Formatter:
    """Events as objects: timestamp (UTC), level, logger, event, what is bound, and `exception` with a traceback."""
    import structlog

    def clean(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.pop("color_message", None)  # uvicorn's, the event again
        for name, value in event.items():
            if isinstance(value, str):
                event[name] = hide(clean_text(value, _MOST), hidden)
            elif not isinstance(value, (bool, int, float, type(None))):
                event[name] = hide(clean_text(repr(value), _MOST), hidden)
        return event

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.ExtraAdder(),
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            clean,
            structlog.processors.JSONRenderer(ensure_ascii=False, sort_keys=False),
        ],
        keep_exc_info=False,
    )


def hide(text: str, hidden: Sequence[str] = ()) -> str:
    """Without the password of any address (scheme://user:password@host), nor these secrets."""
    if "://" in text:
        text = _OPTION.sub(r"\g<before>***", _PASSWORD.sub(r"\g<before>***", text))
    for secret in hidden:
        text = text.replace(secret, "***")
    return text


def password_of(url: str) -> list[str]:
    """The password of a database's address, as it may be met in a message; empty without one."""
    try:
        parts = urlsplit(url)
        named = [value for key, value in parse_qsl(parts.query) if key.casefold().endswith("password")]
        given = {parts.password or "", *named} - {""}
    except ValueError:
        return []
    forms = {form for found in given for form in (found, unquote(found), quote(unquote(found), safe=""))}
    return sorted(forms, key=len, reverse=True)


def log_lines(level: str, form: str = "text", hidden: Sequence[str] = ()) -> None:
    """Everything that is logged goes to standard error. form: text or json. hidden: see OneLine."""
    kept = [secret for secret in hidden if len(secret) >= 4]  # a shorter one would blot out ordinary words
    handler = logging.StreamHandler(sys.stderr)
    text = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(json_lines(kept) if form == "json" else OneLine(text, kept))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class Outage:
    """Says once that something does not answer, then each minute as long as that lasts, then that it answers again.

    Thread-safe: several threads meet the same outage. `now` is the time in seconds, for tests.
    """

    def __init__(self, logger: logging.Logger, back: str, now: Callable[[], float] = time.monotonic) -> None:
        self._log, self._back, self._now = logger, back, now
        self._lock = threading.Lock()
        self._since: float | None = None
        self._said = self._last = 0.0

    def failed(self, error: Exception) -> None:
        with self._lock:
            self._last = now = self._now()
            if self._since is not None and now - self._said < _REMIND_S:
                return
            lasts = "" if self._since is None else f" (for {now - self._since:.0f} s now)"
            self._since, self._said = now if self._since is None else self._since, now
        self._log.error("%s%s", error, lasts)

    def answered(self) -> None:
        """What works only now and then, as with a disk that is almost full, does not count as working again."""
        with self._lock:
            if self._since is None or self._now() - self._last < _STEADY_S:
                return
            lasted, self._since = self._now() - self._since, None
        self._log.warning("%s after %.0f s", self._back, lasted)
