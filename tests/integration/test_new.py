"""`grader new`: every skeleton is accepted by `prove` as it is, and nothing is written over or half written."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader import skeleton
from grader.assignments import load
from grader.errors import UsageError
from grader.grading import Engine
from grader.proving import prove
from grader.reports import Status
from grader.skeleton import Kind


@pytest.mark.sandbox
@pytest.mark.parametrize("kind", list(Kind))
def test_a_skeleton_is_proved(kind: Kind, tmp_path: Path, engine: Engine) -> None:
    files = skeleton.make("my_sheet", kind, tmp_path)
    assert tmp_path / "my_sheet" / "checks.py" in files
    proofs = list(prove(engine, load(tmp_path / "my_sheet")))
    assert len(proofs) == 4
    assert [proof.faults for proof in proofs if proof.faults] == []
    failing = {check.id for proof in proofs for check in proof.report.checks if check.status is Status.FAILED}
    assert failing == {check.id for check in proofs[0].report.checks}, "each check has been seen to fail"


def test_it_bears_its_name_in_both_languages(tmp_path: Path) -> None:
    skeleton.make("my_sheet", Kind.training, tmp_path)
    made = load(tmp_path / "my_sheet")
    assert made.title.en.startswith("my_sheet: ")
    assert made.title.zh.startswith("my_sheet：")
    assert made.statement("zh")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "NAME" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", ["", "x", "My", "my-sheet", "../up", "my sheet", "作业", "a" * 41, "1st", ".hidden"])
def test_an_odd_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot name an assignment"):
        skeleton.make(name, Kind.functions, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "my_sheet").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        skeleton.make("my_sheet", Kind.functions, tmp_path)
    assert list((tmp_path / "my_sheet").iterdir()) == []


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    assert skeleton.make("my_sheet", Kind.functions, tmp_path / "my" / "sheets")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        skeleton.make("my_sheet", Kind.functions, tmp_path / "file" / "sheets")
