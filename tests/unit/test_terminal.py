"""Reports at a terminal of 80 columns, in both languages."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from grader import terminal
from grader.reports import CheckResult, Language, LeftOut, PartScore, Report, ReportStatus, Status, Text, Worst


def printed(thing: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=80, highlight=False, markup=False, emoji=False).print(thing)
    return out.getvalue()


def failed(name: str = "c", **more: Any) -> CheckResult:
    fields: dict[str, Any] = {
        "title": Text(en=f"the {name} agrees with the reference " * 3, zh="与参考实现一致" * 12),
        "message": Text(en=f"The result of {name} is 3. " * 12, zh=f"{name} 的结果是 3，" * 20),
        "got": [[1, 3.123456789], ["nan", 4]],
        "expected": [[1, 2], [3, 4]],
        "worst": Worst(index=(0, 1), difference=1.0),
        "input": {"call": "softmax", "args": [[[1, -2]], {"shape": [100, 3], "dtype": "float64", "first_values": [1]}]},
    }
    return CheckResult(id=name, part="softmax_ce", status=Status.FAILED, points=0, max_points=2.5, **(fields | more))


def left_out(number: int) -> LeftOut:
    where = Text(en=f"line {number}", zh=f"第 {number} 行")
    return LeftOut(where=where, what="x", why=Text(en="why " * 40, zh="原因" * 60))


def report(*checks: CheckResult, **more: Any) -> Report:
    fields: dict[str, Any] = {
        "assignment": "tensorflow_basics",
        "assignment_version": "v",
        "status": ReportStatus.GRADED,
        "score": 7.5,
        "max_score": 100,
        "parts": (
            PartScore(name="softmax_ce", score=7.5, max_score=50),
            PartScore(name="sigmoid_ce", score=0, max_score=50),
        ),
        "checks": checks or (failed(),),
        "left_out": tuple(left_out(n) for n in range(12)),
        "notes": (Text(en="a note " * 30, zh="说明" * 60),),
        "file": "作业一" * 20 + ".ipynb",
    }
    return Report(**(fields | more))


VALUES: dict[str, Any] = {
    "matrix": [[1.0, 2.0], [3.0, 4.0]],
    "wide matrix": [[0.1234567] * 60] * 2,
    "high matrix": [[1.0]] * 60,
    "vector": [1.0, 2.0, 3.0],
    "number": 3.5,
    "word": "nan",
    "nothing": None,
    "large": {"shape": [1000, 1000], "dtype": "float64", "first_values": [1] * 8},
    "three axes": [[[1.0, 2.0]] * 20] * 20,
    "empty": [],
    "empty row": [[]],
    "a matrix and a number": [[[1.0, 2.0]], 3.0],
    "a vector and a number": [[1.0, 2.0], 3.0],
    "a number and a vector": [3.0, [1.0, 2.0]],
    "words": ["<Relu>", "text"],
    "long word": "x" * 300,
}


class TestWidth:
    @pytest.mark.parametrize("lang", ["en", "zh"])
    @pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
    def test_no_line_is_wider_than_80_columns(self, value: Any, lang: Language) -> None:
        check = failed(got=value, expected=value, worst=None)
        text = printed(terminal.render(report(check, failed("other")), lang))
        assert max(cell_len(line) for line in text.splitlines()) <= 80

    @pytest.mark.parametrize("lang", ["en", "zh"])
    def test_summary(self, lang: Language) -> None:
        text = printed(terminal.summary([report(), report(status=ReportStatus.NOT_GRADABLE, checks=())], lang))
        assert max(cell_len(line) for line in text.splitlines()) <= 80
        assert "7.5/100" in text


class TestContent:
    def test_the_worst_cell_is_marked(self) -> None:
        text = printed(terminal.render(report()))
        assert text.count("→") == 1
        assert "→3.12346" in text

    @pytest.mark.parametrize(
        ("got", "index", "marked"), [([1.0, 5.0], (1,), "→5"), (5.0, (), None), ([[1.0, 5.0]], (0, 0), "→1")]
    )
    def test_the_mark_is_at_the_index(self, got: Any, index: tuple[int, ...], marked: str | None) -> None:
        text = printed(terminal.render(report(failed(got=got, expected=got, worst=Worst(index=index, difference=1.0)))))
        assert ("→" in text) is (marked is not None)
        if marked:
            assert marked in text

    @pytest.mark.parametrize("lang", ["en", "zh"])
    def test_names_of_parts_are_whole(self, lang: Language) -> None:
        rows = [line.split() for line in printed(terminal.render(report(), lang)).splitlines()]
        assert any(row[:1] == ["softmax_ce"] and row[-1:] == ["7.5/50"] for row in rows)

    @pytest.mark.parametrize(
        ("lang", "words"),
        [
            (
                "en",
                [
                    "Score 7.5 / 100",
                    "First thing to fix",
                    "✗ failed",
                    "✓ passed",
                    "· skipped",
                    "got",
                    "expected",
                    "Notes",
                    "Left out of your file",
                ],
            ),
            (
                "zh",
                [
                    "得分 7.5 / 100",
                    "先改这一处",
                    "✗ 未通过",
                    "✓ 通过",
                    "· 未检查",
                    "得到",
                    "应为",
                    "说明",
                    "文件中没有运行的代码",
                ],
            ),
        ],
    )
    def test_both_languages(self, lang: Language, words: list[str]) -> None:
        good, never = replace(failed("good"), status=Status.PASSED), replace(failed("never"), status=Status.NOT_REACHED)
        text = printed(terminal.render(report(good, failed(), never), lang))
        for word in words:
            assert word in text

    @pytest.mark.parametrize(
        ("status", "words"),
        [(ReportStatus.NOT_GRADABLE, "no attempt"), (ReportStatus.GRADER_ERROR, "The grader failed")],
    )
    def test_without_a_grade(self, status: ReportStatus, words: str) -> None:
        text = printed(terminal.render(report(status=status, notes=(Text(en="the reason", zh="原因"),))))
        assert words in text
        assert "the reason" in text
        assert "Score" not in text

    def test_each_further_message_once(self) -> None:
        same = Text(en="the very same words", zh="同样的话")
        text = printed(terminal.render(report(*(failed(n, message=same) for n in "abc"))))
        assert text.count("the very same words") == 1

    def test_markup_of_students_is_text(self) -> None:
        text = printed(terminal.render(report(failed(message=Text(en="[bold]x[/bold] :smile:", zh="无")))))
        assert "[bold]x[/bold] :smile:" in text

    def test_a_piped_console_has_80_columns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "33")
        assert terminal.console(file=io.StringIO()).width == 80
