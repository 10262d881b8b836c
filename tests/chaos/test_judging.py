"""The chaos sees what it looks for: each wrong that is done to a sound database is found."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete

from grader.service import recording
from grader.store.models import StoredCheck, StoredReport, Submission
from tests.integration.service import SUMS, Kit, make_kit, program

from . import power_cut
from .students import Told
from .verdicts import compare, verdict_of

FILES = {"right": program(salt="1"), "wrong": program(fail=["add_works"], salt="2")}


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    made = make_kit(tmp_path)
    yield made
    made.close()


@pytest.fixture
def told(kit: Kit) -> list[Told]:
    """Two students' uploads, both graded."""
    found = []
    for login, (story, data) in zip(("ada", "bob"), FILES.items(), strict=True):
        number = kit.hand_in(login, data)
        with kit.service.store.write() as session:
            session.get_one(Submission, number).idempotency_key = f"{login}-0"
        found.append(Told(student=login, key=f"{login}-0", submission=number, story=story, data=data, at=0.0, tries=1))
    kit.grade()
    return found


def found_in(kit: Kit, told: list[Told]) -> set[str]:
    """The kinds of findings."""
    assignment = kit.service.catalogue.get(SUMS)
    calm = {name: verdict_of(kit.engine.grade(assignment, "solution.py", data)) for name, data in FILES.items()}
    return {name for name, said in compare(kit.service.store, told, calm).failures().items() if said}


def test_a_sound_database_has_none(kit: Kit, told: list[Told]) -> None:
    assert found_in(kit, told) == set()


def test_what_is_missing_is_lost(kit: Kit, told: list[Told]) -> None:
    assert "lost" in found_in(kit, [*told, replace(told[0], submission=99, key="ada-1")])
    with kit.service.store.write() as session:
        session.get_one(Submission, told[0].submission).report_id = None
    assert "lost" in found_in(kit, told)
    with kit.service.store.write() as session:
        session.execute(delete(StoredCheck))
        session.execute(delete(StoredReport))
    assert "lost" in found_in(kit, told)


def test_what_is_there_twice_is_duplicated(kit: Kit, told: list[Told]) -> None:
    assert found_in(kit, told[:1]) == {"duplicated"}  # a submission that nobody was told of
    with kit.service.store.write() as session:
        submission = session.get_one(Submission, told[0].submission)
        report = recording.report_of(session, submission)
        assert report is not None
        recording.record(session, submission, report, kit.service.now())
    assert found_in(kit, told) == {"duplicated"}


def test_another_verdict_is_wrong(kit: Kit, told: list[Told]) -> None:
    first, second = told
    assert found_in(kit, [replace(first, story="wrong"), second]) == {"wrong"}
    assert found_in(kit, [replace(first, data=b"another file"), second]) == {"wrong"}
    assert found_in(kit, [replace(first, student="bob"), second]) == {"wrong"}


def test_our_own_fault_is_no_verdict(kit: Kit) -> None:
    number = kit.hand_in("ada", program(kind="grader_error"))
    with kit.service.store.write() as session:
        submission = session.get_one(Submission, number)
        assignment = kit.service.catalogue.get(SUMS)
        report = kit.engine.grade(assignment, "solution.py", program(kind="grader_error"))
        recording.record(session, submission, report, kit.service.now())
        submission.idempotency_key = "ada-0"
    data = program(kind="grader_error")
    told = Told(student="ada", key="ada-0", submission=number, story="right", data=data, at=0.0, tries=1)
    assert "without a verdict" in found_in(kit, [told])
    assert "inconsistent" in found_in(kit, [told]), "its job still waits"


def test_a_damaged_copy_is_seen(kit: Kit, told: list[Told], tmp_path: Path) -> None:
    kit.service.store.close()
    file = tmp_path / power_cut.NAME
    shutil.copy(kit.folder / "grader.sqlite", file)
    there = frozenset(item.submission for item in told)
    assert power_cut.damage(file, there, may_lack=False) == []
    assert power_cut.damage(file, there | {98}, may_lack=True) == []
    assert power_cut.damage(file, there | {98}, may_lack=False) != []
    assert power_cut.damage(file, there | {98, 99}, may_lack=True) != []
    data = bytearray(file.read_bytes())
    for at in range(4096, len(data), 4096):
        data[at : at + 2048] = bytes(2048)
    file.write_bytes(data)
    assert power_cut.damage(file, there, may_lack=True) != []


def test_the_last_transaction_of_a_journal_is_torn(tmp_path: Path) -> None:
    file, torn = tmp_path / power_cut.NAME, tmp_path / "torn" / power_cut.NAME
    torn.parent.mkdir()
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE numbers (number INTEGER)")
        for number in range(5):
            connection.execute("INSERT INTO numbers VALUES (?)", (number,))
        for seed in range(20):
            for ending in ("", "-wal"):
                shutil.copy(f"{file}{ending}", f"{torn}{ending}")
            assert power_cut.tear(Path(f"{torn}-wal"), random.Random(seed), 0)
            with contextlib.closing(sqlite3.connect(torn)) as copy:
                assert copy.execute("SELECT max(number) FROM numbers").fetchone() == (3,)
        assert not power_cut.tear(Path(f"{torn}-wal"), random.Random(1), 10**6), "a checkpoint made it durable"
