"""`grader grade --figures`: which files are written, under which names, and what is said when they cannot be."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grader import cli, cli_figures, terminal
from grader.errors import UsageError
from grader.reports import CheckResult, PartScore, Report, ReportStatus, Status, Text
from tests.integration.drawn import picture, plain_figure, png

TEXT = Text(en="the sum is right", zh="和是正确的")
CHECK = CheckResult(
    id="sums", part="p", title=TEXT, status=Status.FAILED, points=0, max_points=1, message=TEXT,
    figures=(plain_figure("loss"), plain_figure("odd", {"mark": 1})), pictures=(picture(), picture(5, 4)),
)  # fmt: skip
REPORT = Report(
    assignment="numpy_autodiff", assignment_version="v", status=ReportStatus.GRADED, score=0, max_score=1,
    parts=(PartScore(name="p", score=0, max_score=1),), checks=(CHECK,), file="hw/one.py",
)  # fmt: skip
Grade = Callable[..., tuple[int, str, str]]


@pytest.fixture
def grade(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Grade:
    """The command with a sandbox that is not there: every file gets REPORT."""

    @contextmanager
    def nothing(*words: Any, **options: Any) -> Iterator[None]:
        yield None

    def report(engine: Any, assignment: Any, uploads: Any, *rest: Any, **options: Any) -> list[Report]:
        return [replace(REPORT, file=str(path)) for path, _ in uploads]

    monkeypatch.setattr(cli, "engine_for", nothing)
    monkeypatch.setattr(cli, "_grade_all", report)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: object, files: int = 1) -> tuple[int, str, str]:
        paths = [tmp_path / f"{name}.py" for name in ("one", "two")[:files]]
        for path in paths:
            path.touch()
        monkeypatch.setattr(sys, "argv", ["grader", "grade", *map(str, [*paths, "-a", "numpy_autodiff", *words])])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_figures_and_pictures_are_files_of_their_own(grade: Grade, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "figures"
    code, out, _ = grade("--figures", folder)
    assert code == 0
    assert f"1 figure and 2 pictures drawn by your code written to {folder}; 1 could not be drawn" in out
    assert names(folder) == ["sums-loss.svg", "sums-yours-1.png", "sums-yours-2.png"]
    assert (folder / "sums-yours-2.png").read_bytes() == png(5, 4)
    drawn = (folder / "sums-loss.svg").read_text(encoding="utf-8")
    assert 'width="640"' in drawn
    assert "The loss falls" in drawn
    assert "prefers-color-scheme" not in drawn
    assert (folder / "sums-loss.svg").stat().st_mode & 0o777 == 0o644
    assert grade("--figures", folder, "--lang", "zh")[0] == 0, "its own files are written anew"
    assert "损失在下降" in (folder / "sums-loss.svg").read_text(encoding="utf-8")


def test_several_files_have_a_folder_each(grade: Grade, tmp_path: Path) -> None:
    grade("--figures", tmp_path / "f", files=2)
    assert [name for name in names(tmp_path / "f") if name.endswith("svg")] == [
        "one/sums-loss.svg",
        "two/sums-loss.svg",
    ]
    for file, other in (("a/hw.py", "b/hw.py"), ("hw.py", "hw.ipynb")):
        folder = tmp_path / file.replace("/", "_")
        cli_figures.write([replace(REPORT, file=file), replace(REPORT, file=other)], folder, "en")
        assert len([name for name in names(folder) if name.endswith("svg")]) == 2


def test_machines_read_their_format_alone(grade: Grade, tmp_path: Path) -> None:
    _, out, err = grade("--json", "--figures", tmp_path / "f")
    assert json.loads(out)["checks"][0]["figures"][0]["spec"]["mark"]["type"] == "line"
    assert "written to" in err


def test_without_the_option_the_report_says_that_there_are_figures(grade: Grade) -> None:
    _, out, _ = grade()
    assert "figure: The loss falls" in out
    assert "2 figures, 2 pictures drawn by your code: use --figures DIR" in out
    assert "--figures DIR" in grade("--lang", "zh")[1]
    assert "--figures DIR" in grade(files=2)[1]
    assert terminal.figures_hint([replace(REPORT, checks=(replace(CHECK, figures=(), pictures=()),))]) == ""


def test_only_what_there_is_is_counted(tmp_path: Path) -> None:
    drawn = replace(REPORT, checks=(replace(CHECK, figures=(plain_figure(),), pictures=()),))
    assert cli_figures.write([drawn], tmp_path, "en") == f"1 figure written to {tmp_path}"
    assert cli_figures.write([drawn], tmp_path, "zh") == f"1 幅图已写入 {tmp_path}"


def test_a_report_without_figures_says_so(tmp_path: Path) -> None:
    bare = replace(REPORT, checks=(replace(CHECK, figures=(), pictures=()),))
    assert cli_figures.write([bare], tmp_path, "en") == "There are no figures to write."
    assert cli_figures.write([bare], tmp_path, "zh") == "没有图可写。"


def test_a_folder_that_is_none_is_said_before_anything_is_graded(
    grade: Grade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_grade_all", lambda *words, **options: pytest.fail("it was graded"))
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        code, _, err = grade("--figures", folder)
        assert code == 2
        assert f"--figures: {folder} is not a folder" in err
        assert err.count("\n") == 1


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*words: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UsageError, match=r"sums-loss\.svg cannot be written: No space left on device"):
        cli_figures.write([REPORT], tmp_path, "en")
    assert names(tmp_path) == [], "nothing half written is left"
    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(UsageError, match="cannot be written to: No space left on device"):
        cli_figures.make_folder(tmp_path)
