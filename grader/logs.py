"""The service's log on standard error: an event is one line, as text for people or as JSON for machines.

Whatever text of people is in an event cannot begin a line, steer a terminal or end a JSON string. What is known of the
work at hand (request_id, submission_id, worker) is bound to the thread or task by structlog's context variables and
stands in every line that is written meanwhile, by whatever library.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from grader.sandbox.child import clean_text

# structlog takes as long to import as grading a small file: commands that do not serve do without it.

_QUIET = ("uvicorn.error", "alembic", "httpx", "asyncio", "procrastinate", "opentelemetry")
_PASSWORD = re.compile(r"(?P<before>\b[\w+.-]+://[^\s:/@]*:)[^\s'\"]+(?=@)")
_SHOWN = ("request_id", "submission_id")  # in text, behind an event that does not say it
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
        text = _PASSWORD.sub(r"\g<before>***", text)
    for secret in hidden:
        text = text.replace(secret, "***")
    return text


def password_of(url: str) -> list[str]:
    """The password of a database's address, as it may be met in a message; empty without one."""
    try:
        found = urlsplit(url).password
    except ValueError:
        return []
    return sorted({found, unquote(found), quote(unquote(found), safe="")}, key=len, reverse=True) if found else []


def log_lines(level: str, form: str = "text", hidden: Sequence[str] = ()) -> None:
    """Everything that is logged goes to standard error. form: text or json. hidden: see OneLine."""
    kept = [secret for secret in hidden if len(secret) >= 4]  # a shorter one would blot out ordinary words
    handler = logging.StreamHandler(sys.stderr)
    text = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(json_lines(kept) if form == "json" else OneLine(text, kept))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
