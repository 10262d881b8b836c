"""The gradebook's filter box: what is understood, and that what is not understood is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.service.gradebook import Comparison, Filter, ScoreBound
from grader.store.states import GradeStatus
from grader.web.filter_box import FilterNotUnderstood, parse

KNOWN = ("tensorflow_basics", "numpy_autodiff")


def below(points: float) -> ScoreBound:
    return ScoreBound(comparison=Comparison.LESS, points=points)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Filter()),
        ("   ", Filter()),
        ("Wang  LI", Filter(words=("wang", "li"))),
        ('"li hua"', Filter(words=("li hua",))),
        ("王小明", Filter(words=("王小明",))),
        ("section:2 section:3 section:2", Filter(sections=("2", "3"))),
        ('section:"group a"', Filter(sections=("group a",))),
        ("score<60", Filter(scores=(below(60),))),
        (
            "score>=40.5 score<60",
            Filter(scores=(ScoreBound(comparison=Comparison.AT_LEAST, points=40.5), below(60))),
        ),
        ("score=100", Filter(scores=(ScoreBound(comparison=Comparison.EQUAL, points=100),))),
        ("Score<=1", Filter(scores=(ScoreBound(comparison=Comparison.AT_MOST, points=1),))),
        ("missing:numpy_autodiff", Filter(missing=("numpy_autodiff",))),
        ("assignment:tensorflow_basics", Filter(assignments=("tensorflow_basics",))),
        ("status:graded", Filter(statuses=(GradeStatus.GRADED,))),
        ("status:not-gradable", Filter(statuses=(GradeStatus.NOT_GRADABLE,))),
        ("is:late is:overridden", Filter(late=True, overridden=True)),
        ("ada@example.org", Filter(words=("ada@example.org",))),
    ],
)
def test_what_is_understood(text: str, expected: Filter) -> None:
    assert parse(text, KNOWN) == expected


def test_everything_at_once() -> None:
    found = parse("section:2 score<60 missing:numpy_autodiff status:graded wang", KNOWN)
    assert found == Filter(
        sections=("2",),
        scores=(below(60),),
        missing=("numpy_autodiff",),
        statuses=(GradeStatus.GRADED,),
        words=("wang",),
    )


@pytest.mark.parametrize(
    ("text", "part", "helps"),
    [
        ("wang colour:red", "colour:red", "section"),
        ("section:", "section:", "value"),
        ("score<abc", "score<abc", "'abc'"),
        ("score<", "score<", "''"),
        ("score<nan", "score<nan", "'nan'"),
        ("score:60", "score:60", "score<60"),
        ("attempts>3", "attempts>3", "'attempts'"),
        ("status:done", "status:done", "graded"),
        ("is:nice", "is:nice", "overridden"),
        ("missing:mnist", "missing:mnist", "numpy_autodiff"),
        ('wang "li hua', '"li hua', "not closed"),
        ("x" * 501, "x" * 40, "500"),
    ],
)
def test_what_is_not_understood_is_named(text: str, part: str, helps: str) -> None:
    with pytest.raises(FilterNotUnderstood) as caught:
        parse(text, KNOWN)
    assert caught.value.part == part
    assert helps in caught.value.text.en
    assert caught.value.text.zh != caught.value.text.en
    assert caught.value.field == "q"


@given(st.text(max_size=80))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        found = parse(text, KNOWN)
    except FilterNotUnderstood:
        return
    assert set(found.missing) <= set(KNOWN)
    assert all(word == word.casefold() and word.strip() for word in found.words)
