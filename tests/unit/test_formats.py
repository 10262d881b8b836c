"""Reports for machines: JUnit that every XML reader accepts, and Gradescope's results.json."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from grader.formats import gradescope, junit
from grader.reports import CheckResult, PartScore, Report, ReportStatus, Status, Text

NASTY = "".join(map(chr, range(32))) + "<&>\"']]>\ud800\ufffe 中文\U0001f600"


def result(name: str, status: Status, **more: Any) -> CheckResult:
    points = 2.0 if status is Status.PASSED else 0.0
    title = Text(en=f"title of {name}", zh=f"{name} 的标题")
    return CheckResult(id=name, part="p", title=title, status=status, points=points, max_points=2.0, **more)


def report(**more: Any) -> Report:
    fields: dict[str, Any] = {
        "assignment": "hw",
        "assignment_version": "v",
        "status": ReportStatus.GRADED,
        "score": 2.0,
        "max_score": 6.0,
        "parts": (PartScore(name="p", score=2, max_score=6),),
        "checks": (
            result("good", Status.PASSED, wall_ms=1500.0),
            result(
                "bad",
                Status.FAILED,
                message=Text(en=NASTY, zh=f"错{NASTY}"),
                got=[1],
                expected=["nan"],
                input={"call": "f", "args": [1]},
            ),
            result("never", Status.NOT_REACHED, message=Text(en="needs", zh="前提")),
        ),
        "notes": (Text(en="a note", zh="一条说明"),),
        "timings_ms": {"total": 2600.0},
        "file": f"h{NASTY}w.py",
        "seed": "s",
    }
    return Report(**(fields | more))


NOT_GRADED = [
    report(status=status, checks=(), notes=notes)
    for status in (ReportStatus.NOT_GRADABLE, ReportStatus.GRADER_ERROR)
    for notes in ((Text(en=NASTY, zh=NASTY),), ())
]


class TestJUnit:
    def test_one_suite_a_file_one_case_a_check(self) -> None:
        root = ElementTree.fromstring(junit([report(), report()]))
        assert root.tag == "testsuites"
        assert [suite.tag for suite in root] == ["testsuite"] * 2
        suite = root[0]
        assert {k: suite.get(k) for k in ("tests", "failures", "skipped", "errors")} == {
            "tests": "3", "failures": "1", "skipped": "1", "errors": "0",
        }  # fmt: skip
        assert [case.get("name") for case in suite] == ["good", "bad", "never"]
        assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["skipped"]]
        assert suite[0].get("time") == "1.500"
        assert suite.get("time") == "2.600"

    def test_control_characters_are_replaced_and_the_rest_kept(self) -> None:
        text = junit([report()], "zh")
        failure = ElementTree.fromstring(text).find(".//failure")
        assert failure is not None
        assert "<&>\"']]>" in str(failure.text)
        assert "中文\U0001f600" in str(failure.text)
        assert "expected: ['nan']" in str(failure.text)
        assert not set(map(chr, range(32))) - set("\t\n\r") & set(text)

    @pytest.mark.parametrize("not_graded", NOT_GRADED)
    def test_a_file_that_was_not_graded_is_an_error(self, not_graded: Report) -> None:
        suite = ElementTree.fromstring(junit([not_graded]))[0]
        assert (suite.get("errors"), suite.get("tests")) == ("1", "1")
        assert [child.tag for child in suite[0]] == ["error"]

    def test_nothing(self) -> None:
        assert len(ElementTree.fromstring(junit([]))) == 0


class TestGradescope:
    def test_keys(self) -> None:
        shown = gradescope(report())
        assert set(shown) == {"score", "output", "execution_time", "stdout_visibility", "tests", "extra_data"}
        for test in shown["tests"]:
            assert set(test) == {"name", "score", "max_score", "status", "output", "visibility"}
        assert [t["status"] for t in shown["tests"]] == ["passed", "failed", "failed"]
        assert [(t["score"], t["max_score"]) for t in shown["tests"]] == [(2, 2), (0, 2), (0, 2)]
        assert (shown["score"], shown["output"], shown["execution_time"]) == (2, "a note", 3)
        assert shown["extra_data"] == {"assignment_version": "v", "seed": "s", "status": "graded"}
        json.dumps(shown, allow_nan=False)

    def test_output_shows_the_failure(self) -> None:
        output = gradescope(report(), "zh")["tests"][1]["output"]
        for piece in ("错", "input: ", "got: [1]", "expected: ['nan']"):
            assert piece in output

    @pytest.mark.parametrize("not_graded", NOT_GRADED)
    def test_not_graded(self, not_graded: Report) -> None:
        shown = gradescope(not_graded)
        assert shown["tests"] == []
        assert shown["extra_data"]["status"] != "graded"
