"""The log: one line an event in both formats, what is bound stands in it, secrets do not."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import unicodedata
from collections.abc import Iterator

import pytest
from structlog.contextvars import bound_contextvars, clear_contextvars

from grader import logs
from grader.cli import say_errors
from grader.errors import StoreError

FORGED = '\n{"event": "forged"}\r\n2026 ERROR forged\x1b[2J\u202e\u2028\x9b31m\x00"\\'
URL = "postgresql+psycopg://grader:p%40ss%2Fword@db.example:5432/grader"


@pytest.fixture(params=["text", "json"])
def form(request: pytest.FixtureRequest) -> Iterator[str]:
    """The root logger as a service has it, and as it was afterwards."""
    root, quiet = logging.getLogger(), {name: logging.getLogger(name).level for name in logs._QUIET}
    handlers, level = list(root.handlers), root.level
    clear_contextvars()
    try:
        yield request.param
    finally:
        for handler in root.handlers[:]:
            if handler not in handlers:
                root.removeHandler(handler)
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in quiet.items():
            logging.getLogger(name).setLevel(before)


def told(monkeypatch: pytest.MonkeyPatch, form: str, *hidden: str) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.log_lines("info", form, hidden)
    return stream


def test_an_event_is_one_line_whatever_people_wrote(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = told(monkeypatch, form)
    logging.getLogger("grader").info("name %s", FORGED, extra={"path": FORGED})
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Zl") for c in text[:-1])
    if form == "json":
        event = json.loads(text)
        assert event["logger"] == "grader"
        assert event["event"].startswith("name ")
        assert set(event) == {"event", "path", "level", "logger", "timestamp"}


def test_what_is_bound_stands_in_lines_of_every_library(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = told(monkeypatch, form)
    with bound_contextvars(request_id="0123456789abcdef", submission_id=7, worker="host:1:2"):
        logging.getLogger("uvicorn.error").warning("careful", extra={"color_message": "\x1b[31mcareful"})
        logging.getLogger("grader").info("said by a request 0123456789abcdef")
    logging.getLogger("grader").info("afterwards")
    first, second, third = stream.getvalue().splitlines()
    if form == "text":
        assert first.endswith("WARNING uvicorn.error: careful request_id=0123456789abcdef submission_id=7")
        assert second.count("0123456789abcdef") == 1
        assert third.endswith("INFO grader: afterwards")
        return
    event = json.loads(first)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "careful", "level": "warning", "logger": "uvicorn.error", "request_id": "0123456789abcdef",
        "submission_id": 7, "worker": "host:1:2",
    }  # fmt: skip
    assert "request_id" not in json.loads(third)


def test_secrets_are_not_shown(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither those of the settings, nor the password of an address that a library names, also in a traceback."""
    stream = told(monkeypatch, form, "a configured secret", *logs.password_of(URL))
    try:
        raise RuntimeError(f"cannot reach {URL} with a configured secret or p@ss/word")
    except RuntimeError:
        logging.getLogger("grader").exception("%s failed", URL, extra={"address": URL})
    logging.getLogger("grader").info("other://user:word@host and http://host/path")
    text = stream.getvalue()
    for secret in ("p%40ss", "p@ss/word", "configured secret", "user:word"):
        assert secret not in text
    assert "grader:***@db.example:5432/grader" in text
    assert "http://host/path" in text
    assert "RuntimeError" in (json.loads(text.splitlines()[0])["exception"] if form == "json" else text)


def test_short_values_are_no_secrets_to_look_for(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = told(monkeypatch, form, "a", "")
    logging.getLogger("grader").info("a word")
    assert "a word" in stream.getvalue()


def test_an_error_of_a_command_hides_the_password_too(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise StoreError(f"cannot reach {URL}")

    with pytest.raises(SystemExit):
        say_errors(fail)
    assert (
        capsys.readouterr().err
        == "grader: error: cannot reach postgresql+psycopg://grader:***@db.example:5432/grader\n"
    )


def test_the_advice_how_to_write_an_address_is_not_hidden() -> None:
    advice = "use postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE; or 'x://USER:PASSWORD@HOST'"
    assert logs.hide(advice) == advice
    assert logs.hide("x://me:PASSWORD@hunter2@host/db") == "x://me:***@host/db"
    assert logs.hide("x://host/db?password=hunter2&a=1") == "x://host/db?password=***&a=1"
    assert set(logs.password_of("x://host/db?password=a%2Fb")) == {"a%2Fb", "a/b"}


def test_an_outage_is_told_once_then_each_minute_and_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    stream, at = told(monkeypatch, form), [0.0]
    outage = logs.Outage(logging.getLogger("grader"), "the database answers again", lambda: at[0])
    outage.answered()
    for second in range(70):
        at[0] = float(second)
        outage.failed(StoreError("no connection"))
        outage.answered()  # to another thread: now and then is not again
    at[0] = 100.0
    outage.answered()
    outage.answered()
    first, second_line, over = stream.getvalue().splitlines()
    assert "no connection" in first
    assert "no connection (for 60 s now)" in second_line
    assert "the database answers again after 100 s" in over
    outage.failed(StoreError("no connection"))
    assert len(stream.getvalue().splitlines()) == 4


@pytest.mark.parametrize(
    ("url", "password"),
    [("", []), ("sqlite:////var/grader.sqlite3", []), ("postgresql+psycopg://host/db", []), ("http://[bad", [])],
)
def test_an_address_without_a_password(url: str, password: list[str]) -> None:
    assert logs.password_of(url) == password


def test_grading_a_file_loads_nothing_of_the_service() -> None:
    """The command line is fast because of what it does not import."""
    heavy = "structlog", "opentelemetry", "prometheus_client", "sqlalchemy", "fastapi"
    code = f"import sys, grader.cli; print([name for name in {heavy!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert ran.stdout.strip() == "[]"
