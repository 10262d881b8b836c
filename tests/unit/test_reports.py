"""The documented JSON object of a report, and numbers that JSON can hold."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest

from grader.reports import (
    CheckResult,
    Figure,
    LeftOut,
    PartScore,
    Picture,
    Report,
    ReportStatus,
    Status,
    Text,
    Worst,
    plain_number,
)

KEYS = [
    "file", "assignment", "assignment_version", "status", "score", "max_score", "parts", "checks", "left_out", "notes",
    "printed", "seed", "runtime", "mode", "timings_ms",
]  # fmt: skip
CHECK_KEYS = [
    "id", "part", "title", "status", "points", "max_points", "visible", "message", "mistake", "got", "expected",
    "worst", "input", "wall_ms", "figures", "pictures",
]  # fmt: skip


def full_report() -> Report:
    return Report(
        assignment="a",
        assignment_version="v1",
        status=ReportStatus.GRADED,
        score=2.5,
        max_score=4.0,
        parts=(PartScore(name="p", score=2.5, max_score=4.0),),
        checks=(
            CheckResult(
                id="c",
                part="p",
                title=Text(en="Title", zh="标题"),
                status=Status.FAILED,
                points=0.0,
                max_points=1.5,
                message=Text(en="Wrong.", zh="错了。"),
                mistake="m",
                got=["nan"],
                expected=[1],
                worst=Worst(index=(0, 1), difference=math.inf),
                input={"call": "f", "args": [1]},
                wall_ms=1.25,
                figures=(
                    Figure(
                        name="loss",
                        title=Text(en="It falls", zh="下降"),
                        alt=Text(en="From 2 to 1.", zh="从 2 到 1。"),
                        spec={"mark": "line", "title": {"en": "loss", "zh": "损失"}},
                    ),
                ),
                pictures=(Picture(png=b"\x89PNG", width=2, height=1),),
            ),
        ),
        left_out=(LeftOut(where=Text(en="line 1", zh="第 1 行"), what="print", why=Text(en="why", zh="为何")),),
        notes=(Text(en="note", zh="说明"),),
        printed="hello",
        seed="ab",
        runtime={"python": "3.11"},
        mode="A",
        timings_ms={"total": 1.5},
        file="hw.py",
    )


def test_keys_are_exactly_those_documented() -> None:
    shown = full_report().to_json()
    assert list(shown) == KEYS
    assert list(shown["checks"][0]) == CHECK_KEYS
    assert list(shown["checks"][0]["worst"]) == ["index", "difference"]
    assert list(shown["parts"][0]) == ["name", "score", "max_score"]
    assert list(shown["left_out"][0]) == ["where", "what", "why"]


def test_figures_are_told_in_the_language_and_pictures_in_base64() -> None:
    check = full_report().to_json("zh")["checks"][0]
    spec = {"mark": "line", "title": "损失"}
    assert check["figures"] == [{"name": "loss", "title": "下降", "alt": "从 2 到 1。", "spec": spec}]
    assert check["pictures"] == [{"width": 2, "height": 1, "png": "iVBORw=="}]


def test_every_field_reaches_the_json() -> None:
    assert {f.name for f in dataclasses.fields(Report)} == set(KEYS)
    assert {f.name for f in dataclasses.fields(CheckResult)} == set(CHECK_KEYS)


@pytest.mark.parametrize("visible", [True, False])
def test_whether_values_are_shown(visible: bool) -> None:
    check = dataclasses.replace(full_report().checks[0], visible=visible)
    assert dataclasses.replace(full_report(), checks=(check,)).to_json()["checks"][0]["visible"] is visible


def test_strict_json_and_back() -> None:
    shown = full_report().to_json()
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert shown["checks"][0]["worst"] == {"index": [0, 1], "difference": "inf"}
    assert (shown["status"], shown["checks"][0]["status"], shown["score"]) == ("graded", "failed", 2.5)


@pytest.mark.parametrize(
    ("lang", "words"), [("en", ("Title", "Wrong.", "note", "why")), ("zh", ("标题", "错了。", "说明", "为何"))]
)
def test_languages(lang: Any, words: tuple[str, ...]) -> None:
    shown = full_report().to_json(lang)
    check = shown["checks"][0]
    assert (check["title"], check["message"], shown["notes"][0], shown["left_out"][0]["why"]) == words


@pytest.mark.parametrize(
    ("x", "plain"),
    [
        (1, 1),
        (1.0, 1),
        (0.5, 0.5),
        (-2.0, -2),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (2.0**60, 2.0**60),
    ],
)
def test_plain_number(x: float, plain: Any) -> None:
    assert plain_number(x) == plain
    assert type(plain_number(x)) is type(plain)


@pytest.mark.parametrize("status", list(ReportStatus))
def test_message(status: ReportStatus) -> None:
    report = dataclasses.replace(full_report(), status=status)
    assert report.message == (None if status is ReportStatus.GRADED else Text(en="note", zh="说明"))
    assert dataclasses.replace(report, notes=()).message is None


def test_what_is_to_be_fixed_first() -> None:
    """A mistake counts with all that failed through it, and its simplest check stands for it."""

    def check(name: str, points: float, mistake: str | None = None, status: Status = Status.FAILED) -> CheckResult:
        return CheckResult(
            id=name, part="p", title=Text(en=name, zh=name), status=status, points=0, max_points=points, mistake=mistake
        )

    checks = (
        check("passed", 50, status=Status.PASSED), check("simple", 2, "halved"), check("other", 10),
        check("composed", 9, "halved"), check("skipped", 30, status=Status.NOT_REACHED),
    )  # fmt: skip
    report = Report(
        assignment="a", assignment_version="v", status=ReportStatus.GRADED, score=50, max_score=101, checks=checks
    )
    assert [found.id for found in report.to_fix] == ["simple", "composed", "other"]


def test_text() -> None:
    assert Text(en="One.", zh="一。") + Text(en="Two.", zh="二。") == Text(en="One. Two.", zh="一。二。")


def test_records_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        full_report().score = 100.0  # type: ignore[misc]
