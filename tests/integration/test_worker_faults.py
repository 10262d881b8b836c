"""A fault of the database in the middle of a grading: the job is not forgotten, and does not wait for its lease."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from grader.errors import StoreError
from grader.logs import Outage
from grader.service import recording
from grader.store.states import SubmissionState

from .service import Kit, program


def failing(times: int, error: Exception, then: Callable[..., Any]) -> Callable[..., Any]:
    """A function that raises so many times and then does its work."""
    left = iter(range(times))

    def call(*arguments: Any, **named: Any) -> Any:
        if next(left, None) is not None:
            raise error
        return then(*arguments, **named)

    return call


@pytest.mark.parametrize("error", [StoreError("the disk is full"), ZeroDivisionError()])
def test_a_report_that_could_not_be_stored_is_made_again_at_once(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    number = kit.hand_in("ada", program())
    monkeypatch.setattr(recording, "record", failing(1, error, recording.record))
    monkeypatch.setattr("grader.queue.rows.RETRY_S", (0.0, 0.0))
    with pytest.raises(type(error)):
        kit.worker.one()
    kit.grade()
    assert kit.submission(number).state is SubmissionState.GRADED


def test_it_is_given_back_only_when_the_database_is_there_again(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    number = kit.hand_in("ada", program())
    full = StoreError("the disk is full")
    monkeypatch.setattr(recording, "record", failing(1, full, recording.record))
    monkeypatch.setattr(kit.worker.queue, "give_back", failing(2, full, kit.worker.queue.give_back))
    for _ in range(3):
        with pytest.raises(StoreError):
            kit.worker.one()
    kit.grade()
    assert kit.submission(number).state is SubmissionState.GRADED


def test_a_program_that_always_stops_us_ends_without_a_verdict(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    number = kit.hand_in("ada", program())
    monkeypatch.setattr(kit.engine, "grade", failing(100, ZeroDivisionError(), kit.engine.grade))
    monkeypatch.setattr("grader.queue.rows.RETRY_S", (0.0, 0.0))
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            kit.worker.one()
    kit.grade()
    assert kit.submission(number).state is SubmissionState.GRADER_ERROR


def test_an_outage_of_the_database_is_not_said_with_every_heartbeat(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    at = [0.0]
    worker = replace(kit.worker, _outage=Outage(logging.getLogger("grader"), "it answers again", lambda: at[0]))
    monkeypatch.setattr(worker, "_announce", failing(3, StoreError("no connection"), worker._announce))
    with caplog.at_level(logging.INFO, "grader"):
        for _ in range(4):
            at[0] += 5.0
            worker._live()
    assert [record.getMessage() for record in caplog.records] == ["no connection", "it answers again after 15 s"]
