"""The command line: exit codes, what is printed for people and for machines, and errors of one line."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from grader import cli
from grader.assignments import Assignment
from grader.settings import Settings

SEED = "0123456789abcdef" * 2


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"GRADER_{name.upper()}", raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def grader(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["grader", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0, *capsys.readouterr())

    return grader


@pytest.fixture
def solution(tmp_path: Path, assignments: dict[str, Assignment]) -> Path:
    path = tmp_path / "solution.py"
    path.write_text(assignments["numpy_autodiff"].solution, encoding="utf-8")
    return path


class TestUsage:
    def test_an_unknown_assignment_lists_the_names(self, run: Run, solution: Path) -> None:
        ran = run("grade", solution, "-a", "numpy_autodif")
        assert ran.code == 2
        for word in ("numpy_autodif", "numpy_autodiff", "tensorflow_basics"):
            assert word in ran.err

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["nowhere.py"], "nowhere.py does not exist"),
            (["."], "is a folder"),
            (["{file}", "--seed", "123"], "--seed takes 32 hexadecimal digits"),
            (["{file}", "--seed", "x" * 32], "--seed takes 32 hexadecimal digits"),
            (["{file}", "--json", "--junit"], "choose one"),
            (["{file}", "--gradescope", "--junit"], "choose one"),
            (["{file}", "{file}", "--gradescope"], "exactly one file"),
            (["{file}", "--lang", "fr"], "--lang"),
            (["{file}", "--no-such-flag"], "--no-such-flag"),
            ([], "Missing argument"),
        ],
        ids=str,
    )
    def test_wrong_usage(self, run: Run, solution: Path, words: list[str], said: str) -> None:
        ran = run("grade", *(word.format(file=solution) for word in words), "-a", "numpy_autodiff")
        assert ran.code == 2
        assert said in ran.err
        assert ran.out == ""
        assert "Traceback" not in ran.err

    def test_a_wrong_setting(self, run: Run, solution: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GRADER_PARKED", "many")
        ran = run("grade", solution, "-a", "numpy_autodiff")
        assert ran.code == 2
        assert ran.err.startswith("grader: error: settings are wrong: GRADER_PARKED")
        assert ran.err.count("\n") == 1

    def test_a_broken_assignment(
        self, run: Run, solution: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "hw").mkdir()
        (tmp_path / "hw" / "assignment.toml").write_text("x = 1")
        monkeypatch.setenv("GRADER_REFERENCE_DIR", str(tmp_path))
        ran = run("grade", solution, "-a", "hw")
        assert ran.code == 2
        assert "'part'" in ran.err

    def test_no_runner_environment(self, run: Run, solution: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GRADER_RUNNER_PYTHON", "/nonexistent/python")
        ran = run("grade", solution, "-a", "numpy_autodiff")
        assert ran.code == 5
        assert "/nonexistent/python" in ran.err
        assert "make setup" in ran.err
        assert ran.err.count("\n") == 1
        gc.collect()  # a socket left open would warn here, and a warning is an error

    def test_version_and_help(self, run: Run) -> None:
        assert run("--version").out.startswith("grader ")
        for command in ("grade", "prove", "doctor", "assignments"):
            assert command in run("--help").out


class TestAssignments:
    def test_for_people(self, run: Run) -> None:
        ran = run("assignments")
        assert ran.code == 0
        assert "numpy_autodiff" in ran.out
        assert "100 points" in ran.out

    def test_for_machines(self, run: Run) -> None:
        rows = json.loads(run("assignments", "--json", "--lang", "zh").out)
        keys = {"name", "title", "runtime", "version", "max_score", "parts", "available", "missing"}
        assert [set(row) for row in rows] == [keys] * len(rows)
        assert {row["name"] for row in rows} >= {"numpy_autodiff", "tensorflow_basics"}
        assert any("\u4e00" <= c <= "\u9fff" for c in rows[0]["title"])

    def test_a_missing_runtime_is_said(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GRADER_RUNNER_PYTHON", "/nonexistent/python")
        assert run("assignments").out.count("not available") >= 2


@pytest.mark.sandbox
@pytest.mark.usefixtures("sandbox")
class TestGrade:
    def test_one_file(self, run: Run, solution: Path) -> None:
        ran = run("grade", solution, "-a", "numpy_autodiff")
        assert ran.code == 0
        assert "Score 100 / 100" in ran.out

    def test_the_score_does_not_change_the_exit_code(self, run: Run, solution: Path) -> None:
        solution.write_text(
            solution.read_text(encoding="utf-8").replace("np.matmul(x, W)", "-np.matmul(x, W)"), encoding="utf-8"
        )
        ran = run("grade", solution, "-a", "numpy_autodiff", "--lang", "zh")
        assert ran.code == 0
        assert "先改这一处" in ran.out
        assert "First thing to fix" not in ran.out

    def test_a_file_that_cannot_be_graded(self, run: Run, solution: Path, tmp_path: Path) -> None:
        (tmp_path / "empty.py").touch()
        ran = run("grade", tmp_path / "empty.py", solution, "-a", "numpy_autodiff", "--json")
        assert ran.code == 3
        assert [report["status"] for report in json.loads(ran.out)] == ["not_gradable", "graded"]

    def test_json_of_one_file_is_an_object_and_repeats_by_its_seed(self, run: Run, solution: Path) -> None:
        ran = run("grade", solution, "-a", "numpy_autodiff", "--json", "--seed", SEED)
        report = json.loads(ran.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
        assert (report["score"], report["seed"], Path(report["file"]).name) == (100, SEED, "solution.py")

    def test_several_files_for_people(self, run: Run, solution: Path, tmp_path: Path) -> None:
        (tmp_path / "empty.py").touch()
        ran = run("grade", solution, tmp_path / "empty.py", "-a", "numpy_autodiff")
        assert ran.code == 3
        assert "100/100" in ran.out
        assert "empty" in ran.out

    def test_junit(self, run: Run, solution: Path) -> None:
        suite = ElementTree.fromstring(run("grade", solution, "-a", "numpy_autodiff", "--junit").out)[0]
        assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
        assert int(suite.get("tests", "0")) > 10

    def test_gradescope(self, run: Run, solution: Path) -> None:
        shown = json.loads(run("grade", solution, "-a", "numpy_autodiff", "--gradescope").out)
        assert shown["score"] == 100
        assert {test["status"] for test in shown["tests"]} == {"passed"}
