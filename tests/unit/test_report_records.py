"""A report kept as JSON comes back equal, and nothing else passes for one."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.reports import (
    RECORD_FORMAT,
    CheckResult,
    Figure,
    Json,
    LeftOut,
    PartScore,
    Picture,
    Report,
    ReportStatus,
    Status,
    Text,
    Worst,
    from_record,
    to_record,
)

NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False))
TEXTS = st.builds(Text, en=st.text(), zh=st.text())
TREES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


def tuples(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=3).map(tuple)


CHECKS = st.builds(
    CheckResult,
    id=st.text(),
    part=st.text(),
    title=TEXTS,
    status=st.sampled_from(Status),
    points=NUMBERS,
    max_points=NUMBERS,
    visible=st.booleans(),
    message=st.none() | TEXTS,
    mistake=st.none() | st.text(),
    got=TREES,
    expected=TREES,
    worst=st.none() | st.builds(Worst, index=tuples(st.integers()), difference=NUMBERS),
    input=TREES,
    wall_ms=NUMBERS,
    figures=tuples(st.builds(Figure, name=st.text(), title=TEXTS, alt=TEXTS, spec=TREES)),
    pictures=tuples(st.builds(Picture, png=st.binary(max_size=20), width=st.integers(), height=st.integers())),
)
REPORTS = st.builds(
    Report,
    assignment=st.text(),
    assignment_version=st.text(),
    status=st.sampled_from(ReportStatus),
    score=NUMBERS,
    max_score=NUMBERS,
    parts=tuples(st.builds(PartScore, name=st.text(), score=NUMBERS, max_score=NUMBERS)),
    checks=tuples(CHECKS),
    left_out=tuples(st.builds(LeftOut, where=TEXTS, what=st.text(), why=TEXTS)),
    notes=tuples(TEXTS),
    printed=st.text(),
    seed=st.text(),
    runtime=st.dictionaries(st.text(), st.text(), max_size=3),
    mode=st.text(),
    timings_ms=st.dictionaries(st.text(), NUMBERS, max_size=3),
    file=st.text(),
)


def full_report() -> Report:
    """Every optional thing is there, so every key of a record is."""
    text = Text(en="a sentence", zh="一句话")
    check = CheckResult(
        id="c", part="p", title=text, status=Status.FAILED, points=0, max_points=1.5, visible=False, message=text,
        mistake="m", got=["nan", 1, None], expected={"shape": [2]}, worst=Worst(index=(0, 1), difference=0.25),
        input={"call": "f", "args": [[1, 2.5]]}, wall_ms=1.25,
        figures=(Figure(name="f", title=text, alt=text, spec={"mark": "line"}),),
        pictures=(Picture(png=b"\x89PNG", width=2, height=1),),
    )  # fmt: skip
    return Report(
        assignment="a", assignment_version="v", status=ReportStatus.GRADED, score=0.5, max_score=1.5,
        parts=(PartScore(name="p", score=0.5, max_score=1.5),), checks=(check,),
        left_out=(LeftOut(where=text, what="print()", why=text),), notes=(text,), printed="out", seed="ab",
        runtime={"python": "3.11"}, mode="A", timings_ms={"total": 1.5}, file="hw.py",
    )  # fmt: skip


def stored(report: Report) -> Json:
    return json.loads(json.dumps(to_record(report), allow_nan=False))


@given(REPORTS)
@settings(max_examples=100, deadline=None)
def test_every_report_comes_back_equal(report: Report) -> None:
    back = from_record(stored(report))
    assert back == report
    assert repr(back) == repr(report)  # 1 and 1.0, or 0.0 and -0.0, are equal and yet not the same


@pytest.mark.parametrize(
    ("number", "word"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf"), (10**400, 10**400)]
)
def test_numbers_that_json_cannot_hold(number: float, word: Json) -> None:
    whole = full_report()
    check = dataclasses.replace(whole.checks[0], worst=Worst(index=(), difference=number), wall_ms=number)
    report = dataclasses.replace(whole, checks=(check,), timings_ms={"total": number})
    record = stored(report)
    assert record["checks"][0]["worst"] == {"index": [], "difference": word}
    assert repr(from_record(record)) == repr(report)


def test_a_record_has_every_field_by_its_name() -> None:
    record = to_record(full_report())
    assert record.pop("format") == RECORD_FORMAT == 2
    report = full_report()

    def compare(shown: dict[str, Json], thing: Any) -> None:
        assert list(shown) == [field.name for field in dataclasses.fields(thing)]

    compare(record, report)
    compare(record["checks"][0], report.checks[0])
    compare(record["checks"][0]["title"], report.checks[0].title)
    compare(record["checks"][0]["worst"], report.checks[0].worst)
    compare(record["checks"][0]["figures"][0], report.checks[0].figures[0])
    compare(record["checks"][0]["pictures"][0], report.checks[0].pictures[0])
    compare(record["parts"][0], report.parts[0])
    compare(record["left_out"][0], report.left_out[0])


def places(tree: Json, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key as an error names it, container, key or index in it) of everything whose form is known."""
    items: list[tuple[Any, Any]] = []
    if isinstance(tree, list):
        items = [(f"{key}[{at}]", at) for at in range(len(tree))]
    elif isinstance(tree, dict):
        items = [(f"{key}.{name}" if key else name, name) for name in tree]
    for here, name in items:
        if name not in ("got", "expected", "input", "spec"):  # trees of any form
            yield here, tree, name
            yield from places(tree[name], here)


PLACES = [key for key, _, _ in places(to_record(full_report()))]
MAY_BE_LEFT_OUT = ("]", "runtime.python", "timings_ms.total")  # items, not fields
FIELDS = [key for key in PLACES if not key.endswith(MAY_BE_LEFT_OUT)]


@pytest.mark.parametrize("key", PLACES)
def test_a_value_of_another_kind_is_refused(key: str) -> None:
    record = to_record(full_report())
    container, name = next((c, n) for k, c, n in places(record) if k == key)
    container[name] = [0.5] if container[name] != [0.5] else {}
    with pytest.raises(ValueError, match="not the record of a report") as caught:
        from_record(record)
    assert key in str(caught.value)


@pytest.mark.parametrize("key", [*FIELDS, "checks[0].got", "checks[0].expected", "checks[0].input"])
def test_a_missing_key_is_refused(key: str) -> None:
    record = to_record(full_report())
    parent, _, name = key.rpartition(".")
    containers = {k: c[n] for k, c, n in places(record)} | {"": record}
    del containers[parent][name]
    with pytest.raises(ValueError, match="not the record of a report") as caught:
        from_record(record)
    assert key in str(caught.value)


WRONG: list[tuple[str, Json, str]] = [
    ("format", 3, "format"),
    ("format", True, "format"),
    ("format", "1", "format"),
    ("score", True, "score"),
    ("score", "1", "score"),
    ("score", math.nan, "score"),
    ("max_score", None, "max_score"),
    ("status", "passed", "status"),
    ("printed", None, "printed"),
    ("notes", {}, "notes"),
    ("notes", [{"en": "one language"}], r"notes\[0\]\.zh"),
    ("runtime", {"python": 3}, r"runtime\.python"),
    ("timings_ms", {"total": None}, r"timings_ms\.total"),
    ("surprise", 1, "surprise"),
]


@pytest.mark.parametrize(("key", "value", "named"), WRONG, ids=[f"{key} {value}" for key, value, _ in WRONG])
def test_a_wrong_value_is_refused(key: str, value: Json, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        from_record({**to_record(full_report()), key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("status", "graded"),
        ("visible", 1),
        ("points", False),
        ("worst", {"index": [True], "difference": 0}),
        ("worst", {"index": [0.0], "difference": 0}),
        ("worst", {"index": [0], "difference": "infinite"}),
        ("message", "one language"),
        ("surprise", None),
    ],
)
def test_a_wrong_check_is_refused(key: str, value: Json) -> None:
    record = to_record(full_report())
    record["checks"].append({**record["checks"][0], key: value})
    with pytest.raises(ValueError, match=rf"checks\[1\]\.{key}"):
        from_record(record)


@pytest.mark.parametrize("record", [None, [], "graded", 1, {}])
def test_what_is_no_record_is_refused(record: Json) -> None:
    with pytest.raises(ValueError, match="not the record of a report"):
        from_record(record)


def test_a_record_from_before_there_were_figures_is_read() -> None:
    record = to_record(full_report())
    for check in record["checks"]:
        del check["figures"], check["pictures"]
    back = from_record({**record, "format": 1})
    bare = dataclasses.replace(full_report().checks[0], figures=(), pictures=())
    assert back == dataclasses.replace(full_report(), checks=(bare,))
    with pytest.raises(ValueError, match=r"checks\[0\]\.figures is missing"):
        from_record(record)


@pytest.mark.parametrize("png", ["not base64!", 3, None])
def test_a_picture_that_is_no_base64_is_refused(png: Json) -> None:
    record = to_record(full_report())
    record["checks"][0]["pictures"][0]["png"] = png
    with pytest.raises(ValueError, match=r"checks\[0\]\.pictures\[0\]\.png must be bytes in base64"):
        from_record(record)


def test_an_error_does_not_show_the_value() -> None:
    with pytest.raises(ValueError, match=r"seed must be a text, not list$"):
        from_record({**to_record(full_report()), "seed": ["a secret"]})
