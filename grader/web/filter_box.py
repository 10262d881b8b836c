"""The gradebook's filter box: `section:2 score<60 missing:numpy_autodiff status:graded wang` as a record.

A text is words separated by spaces; quotes keep several together ("li hua", section:"group a").

    word                    the name or login contains it; several words must all be there
    section:2               the section; several mean any of them
    assignment:NAME         only this assignment is shown, and the conditions below are about it
    missing:NAME            nothing handed in for this assignment; several must all be missing
    score<60                also <=, >, >=, =; several must all hold
    status:graded           missing, pending, not_gradable or graded; several mean any of them
    is:late  is:overridden  handed in late, a score set by staff

Conditions of score, status and `is` are about one assignment at a time: a student is shown when one of the assignments
shown meets all of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import Final

from grader.errors import Invalid
from grader.service.gradebook import Comparison, Filter, ScoreBound
from grader.store.states import GradeStatus

LONGEST: Final = 500  # characters
_TOKEN = re.compile(r'((?:[^\s"]|"[^"]*")+)')
_FIELD = re.compile(r"([A-Za-z_]+):(.*)", re.DOTALL)
_BOUND = re.compile(r"([A-Za-z_][\w-]*)(<=|>=|<|>|=)(.*)", re.DOTALL)
_FIELDS: Final = ("section", "assignment", "missing", "status", "is", "score")


class FilterNotUnderstood(Invalid):
    """A part of a filter means nothing. part: as it was typed."""

    def __init__(self, part: str, en: str, zh: str) -> None:
        super().__init__("q", en, zh)
        self.part = part


def parse(text: str, assignments: Collection[str]) -> Filter:
    """Reads the box. assignments: names that the course has published. Raises FilterNotUnderstood."""
    if len(text) > LONGEST:
        raise FilterNotUnderstood(
            text[:40], f"The filter is longer than {LONGEST} characters.", f"筛选条件超过了 {LONGEST} 个字符。"
        )
    if text.count('"') % 2:
        part = text[text.rindex('"') :]
        raise FilterNotUnderstood(part, f"A quotation mark is not closed: {part}", f"引号没有成对：{part}")
    found: dict[str, list[str]] = {name: [] for name in (*_FIELDS, "word")}
    scores: list[ScoreBound] = []
    for token in _TOKEN.findall(text):
        if match := _FIELD.fullmatch(token):
            _field(token, match[1].lower(), match[2].replace('"', "").strip(), found, assignments)
        elif match := _BOUND.fullmatch(token):
            scores.append(_bound(token, match[1], match[2], match[3]))
        elif word := token.replace('"', "").strip():
            found["word"].append(word.casefold())
    return Filter(
        words=_once(found["word"]),
        sections=_once(found["section"]),
        assignments=_once(found["assignment"]),
        missing=_once(found["missing"]),
        scores=tuple(dict.fromkeys(scores)),
        statuses=tuple(GradeStatus(status) for status in _once(found["status"])),
        late="late" in found["is"],
        overridden="overridden" in found["is"],
    )


def _field(part: str, name: str, value: str, found: dict[str, list[str]], assignments: Collection[str]) -> None:
    if name not in _FIELDS:
        known = ", ".join(_FIELDS)
        raise FilterNotUnderstood(
            part,
            f"There is no field {name!r} in {part}; there are {known}.",
            f"{part} 中的 {name} 不是可用的条件；可用的有 {known}。",
        )
    if name == "score":
        raise FilterNotUnderstood(
            part,
            f"A score is compared: write score<60 instead of {part}.",
            f"分数要用比较：请把 {part} 写成 score<60 这样。",
        )
    if not value:
        raise FilterNotUnderstood(part, f"A value is missing after {part}", f"{part} 后面缺少内容。")
    if name == "status":
        value = value.lower().replace("-", "_")
        _known(part, value, tuple(GradeStatus))
    elif name == "is":
        value = value.lower()
        _known(part, value, ("late", "overridden"))
    elif name in ("assignment", "missing"):
        _known(part, value, tuple(assignments))
    found[name].append(value)


def _known(part: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        listed = ", ".join(known) or "-"
        raise FilterNotUnderstood(
            part, f"{part}: {value!r} is not known; there are {listed}.", f"{part}：没有 {value}；可用的有 {listed}。"
        )


def _bound(part: str, name: str, comparison: str, value: str) -> ScoreBound:
    if name.lower() != "score":
        raise FilterNotUnderstood(
            part,
            f"Only score can be compared, not {name!r} in {part}.",
            f"只有 score 可以比较，{part} 中的 {name} 不可以。",
        )
    try:
        points = float(value)
    except ValueError:
        points = math.nan
    if not math.isfinite(points):
        raise FilterNotUnderstood(
            part, f"{part}: {value!r} is not a number of points.", f"{part}：{value or '空'} 不是分数。"
        )
    return ScoreBound(comparison=Comparison(comparison), points=points)


def _once(values: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
