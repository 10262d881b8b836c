"""A report as its page shows it, in one language: what is wrong first, then every check by part, then the rest.

Everything a template would have to compute is computed here: which cells stand beside which, which one is worst, which
failure comes first. Values of students are text from here on and are escaped by the templates.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from markupsafe import Markup

from grader.assignments import Assignment, Part
from grader.display import calls_text
from grader.reports import CheckResult, Json, Language, LeftOut, Report, ReportStatus, Status
from grader.web.illustrations import FigureView, PictureView, figures_of, pictures_of
from grader.web.markup import sentence, statement

MOST_ROWS: Final = 10
IN_A_ROW: Final = 8  # cells of a long vector before it goes on in the next row
BESIDE: Final = 2  # columns up to which the two values stand side by side; wider ones stand row under row
MOST_TEXT: Final = 1000


# Values ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One number or word. worst: here the two values are furthest apart."""

    text: str
    worst: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Cells of one value along its last axis. label: their index before that axis, "[2]"; empty for an only row."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A value laid out in rows, or as text when it is no array. shape: "(2, 3)", empty for text.

    first_only: only the first values of a large array are known. more: rows that are left out.
    """

    rows: tuple[Row, ...] = ()
    text: str = ""
    shape: str = ""
    first_only: bool = False
    more: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What came out and what should have; expected is none where only a property was asked for, such as being finite.

    aligned: cell corresponds to cell. beside: side by side rather than row under row. labelled: rows carry an index.
    at: index of the worst cell, "[0, 1]", empty for a single number; have, want, off: both values there, and apart.
    """

    got: Block
    expected: Block | None
    aligned: bool
    beside: bool
    labelled: bool
    at: str = ""
    have: str = ""
    want: str = ""
    off: str = ""


def compare(got: Json, expected: Json, index: Sequence[int] | None, difference: float | None) -> Comparison:
    """Two shown values (see display.show) side by side. index: of the worst cell, none when not known."""
    have, want = (_at(value, index) for value in (got, expected))
    digits = _digits(have, want)
    left = _block(got, index, digits)
    right = _block(expected, None, digits) if expected is not None else None
    aligned = right is not None and bool(left.rows) and (left.shape, left.first_only) == (right.shape, right.first_only)
    worst_known = index is not None and have is not None and want is not None
    if aligned and right is not None and right.more:  # the same window of rows on both sides
        right = _block(expected, index, digits)
        right = replace(right, rows=tuple(_unmarked(row) for row in right.rows))
    return Comparison(
        got=left,
        expected=right,
        aligned=aligned,
        beside=max((len(row.cells) for row in left.rows), default=0) <= BESIDE,
        labelled=any(row.label for row in left.rows),
        at="[" + ", ".join(map(str, index)) + "]" if index else "",
        have=_number(have, digits) if worst_known else "",
        want=_number(want, digits) if worst_known else "",
        off=f"{difference:.6g}" if difference is not None and math.isfinite(difference) else "",
    )


def _unmarked(row: Row) -> Row:
    return replace(row, cells=tuple(replace(cell, worst=False) for cell in row.cells))


def _number(value: Json, digits: int) -> str:
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _digits(have: Json, want: Json) -> int:
    """As few digits as tell the two worst cells apart: six, more when they agree in those."""
    if isinstance(have, float) and isinstance(want, float):
        for digits in (6, 9, 12):
            if f"{have:.{digits}g}" != f"{want:.{digits}g}":
                return digits
        return 17
    return 6


def _at(value: Json, index: Sequence[int] | None) -> Json:
    """The cell of a whole array, or the value itself when it is a single one; None when it is not there."""
    if index is None:
        return None
    for position in index:
        if not isinstance(value, list) or position >= len(value):
            return None
        value = value[position]
    return None if isinstance(value, (list, dict)) else value


def _shape(value: Json) -> tuple[int, ...] | None:
    """The shape of nested lists that form an array, else None."""
    if isinstance(value, dict):
        return None
    if not isinstance(value, list):
        return ()
    inner = {_shape(item) for item in value}
    if len(inner) > 1 or None in inner:
        return None
    return (len(value), *(next(iter(inner), ()) or ()))


def _block(value: Json, index: Sequence[int] | None, digits: int) -> Block:
    if isinstance(value, dict) and {"shape", "from", "values"} <= value.keys():
        return _window(value, index, digits)
    if isinstance(value, dict) and {"shape", "first_values"} <= value.keys():
        cells = tuple(Cell(text=_number(item, digits)) for item in value["first_values"])
        return Block(rows=(Row(label="", cells=cells),), shape=_tuple(value["shape"]), first_only=True)
    shape = _shape(value)
    if shape is None or 0 in shape or value is None or (shape == () and isinstance(value, str) and len(value) > 24):
        return Block(text=value[:MOST_TEXT] if isinstance(value, str) else _text(value))
    rows = _rows(value, (), tuple(index) if index is not None else None, digits, len(shape))
    if len(rows) == 1:
        rows = [replace(rows[0], label="")]
    shown = rows
    if len(rows) > MOST_ROWS:
        worst = next((at for at, row in enumerate(rows) if any(cell.worst for cell in row.cells)), 0)
        start = min(max(0, worst - MOST_ROWS // 2), len(rows) - MOST_ROWS)
        shown = rows[start : start + MOST_ROWS]
    return Block(rows=tuple(shown), shape=_tuple(shape), more=len(rows) - len(shown))


def _window(value: dict[str, Json], index: Sequence[int] | None, digits: int) -> Block:
    """Values of a large array around the worst one."""
    *row, start = value["from"]
    worst = -1 if index is None or list(index[:-1]) != row else index[-1] - start
    cells = tuple(Cell(text=_number(v, digits), worst=at == worst) for at, v in enumerate(value["values"]))
    label = f"[{', '.join(map(str, (*row, start)))}…]"
    return Block(rows=(Row(label=label, cells=cells),), shape=_tuple(value["shape"]))


def _rows(value: Json, before: tuple[int, ...], index: tuple[int, ...] | None, digits: int, axes: int) -> list[Row]:
    """The rows along the last axis; a long vector is broken into several."""
    if axes == 0:
        return [Row(label="", cells=(Cell(text=_number(value, digits), worst=index == ()),))]
    if axes > 1:
        return [row for at, item in enumerate(value) for row in _rows(item, (*before, at), index, digits, axes - 1)]
    cells = [Cell(text=_number(item, digits), worst=index == (*before, at)) for at, item in enumerate(value)]
    if before or len(cells) <= IN_A_ROW + 2:
        return [Row(label="[" + ", ".join(map(str, before)) + "]" if before else "", cells=tuple(cells))]
    starts = range(0, len(cells), IN_A_ROW)
    return [Row(label=f"[{at}]", cells=tuple(cells[at : at + IN_A_ROW])) for at in starts]


def _tuple(shape: Sequence[int]) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def _text(value: Json) -> str:
    return "None" if value is None else json.dumps(value, ensure_ascii=False)[:MOST_TEXT]


# Checks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckView:
    """One check. status: passed, failed, not_reached, or waiting before it has run.

    said, line, more: the message, cut where it quotes the student's own line. calls: the failing input as code.
    """

    id: str
    part: str
    title: str
    status: str
    points: float
    max_points: float
    said: Markup | None = None
    line: str = ""
    more: Markup | None = None
    named: bool = False
    visible: bool = True
    calls: tuple[str, ...] = ()
    values: Comparison | None = None
    why: Markup | None = None
    figures: tuple[FigureView, ...] = ()

    @property
    def opens(self) -> bool:
        """Whether there is anything to read about it."""
        return self.said is not None or self.values is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class PartView:
    name: str
    title: str
    score: float
    max_score: float
    checks: tuple[CheckView, ...]
    why: Markup | None = None

    @property
    def state(self) -> str:
        """passed, partly, failed, or waiting when nothing has run yet."""
        if any(check.status == "waiting" for check in self.checks):
            return "waiting"
        return "passed" if self.score >= self.max_score else ("partly" if self.score > 0 else "failed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """A piece of the upload that was not run, and why."""

    where: str
    what: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A part's share of the score bar, in thousandths of its width."""

    name: str
    start: float
    width: float
    filled: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportView:
    """A whole report. status: graded, not_gradable or grader_error. seconds: what grading took."""

    status: str
    score: float
    max_score: float
    parts: tuple[PartView, ...] = ()
    bar: tuple[Segment, ...] = ()
    first: CheckView | None = None
    failed: int = 0
    passed: int = 0
    not_reached: int = 0
    notes: tuple[Markup, ...] = ()
    printed: str = ""
    left_out: tuple[Left, ...] = ()
    runtime: Mapping[str, str] = field(default_factory=dict)
    mode: str = ""
    seed: str = ""
    version: str = ""
    command: str = ""
    seconds: float | None = None
    figures: tuple[FigureView, ...] = ()
    pictures: tuple[PictureView, ...] = ()


_OWN_LINE: Final = re.compile(
    r"^(?P<said>.*?(?:line \d+|第 \d+ 行）?))[:：] ?`(?P<line>.+)`(?P<more>[.。].*)?$", re.DOTALL
)

_NOT_THERE: Final = re.compile(r"\S+ is not defined; ")  # as intake.asked words it


def check_view(check: CheckResult, lang: Language, why: Markup | None = None) -> CheckView:
    """One check's result. A check with hidden inputs never shows values, whatever the record holds.

    why: kept for a failure that it explains: values that are off, or a known mistake.
    """
    text = check.message.say(lang) if check.message else ""
    cut = _OWN_LINE.match(text)
    said, line, more = (cut["said"], cut["line"], (cut["more"] or "")[1:].strip()) if cut else (text, "", "")
    end = ("。" if lang == "zh" else ".") if cut else ""
    values = None
    if check.visible and (check.got is not None or check.expected is not None):
        worst = check.worst
        index, off = (worst.index, worst.difference) if worst else (None, None)
        values = compare(check.got, check.expected, index, off)
    there = not (check.message and _NOT_THERE.match(check.message.en))  # what does not exist was never called
    calls = tuple(calls_text(check.input)) if there and check.visible and isinstance(check.input, dict) else ()
    title = check.title.say(lang)
    named = check.mistake is not None
    return CheckView(
        id=check.id,
        part=check.part,
        title=title,
        status=str(check.status),
        points=check.points,
        max_points=check.max_points,
        said=sentence(said.rstrip() + end) if text else None,
        line=line,
        more=sentence(more) if more else None,
        named=named,
        visible=check.visible,
        calls=calls,
        values=values,
        why=why if named or values is not None else None,
        figures=figures_of(check, lang),
    )


def report_view(report: Report, parts: Sequence[Part], lang: Language) -> ReportView:
    """The page's view of a report. parts: of the assignment, for titles and explanations.

    A figure of the check to fix first is in its card, all others are in the list: each stands on the page once.
    """
    texts = {part.name: part for part in parts}
    shown = tuple(_part_view(report, score.name, score.score, score.max_score, texts, lang) for score in report.parts)
    graded = report.status is ReportStatus.GRADED
    first = _first(report, shown) if graded else None
    shown = tuple(_explained_once(part, first) for part in shown)
    count = {status: sum(check.status is status for check in report.checks) for status in Status}
    total = report.timings_ms.get("total")
    return ReportView(
        status=str(report.status),
        score=report.score,
        max_score=report.max_score,
        parts=shown if graded else (),
        bar=score_bar(shown),
        first=first,
        failed=count[Status.FAILED],
        passed=count[Status.PASSED],
        not_reached=count[Status.NOT_REACHED],
        notes=tuple(sentence(note.say(lang)) for note in report.notes),
        printed=report.printed,
        left_out=tuple(_left(item, lang) for item in report.left_out),
        runtime=report.runtime,
        mode=report.mode,
        seed=report.seed,
        version=report.assignment_version,
        command=reproduce(report),
        seconds=total / 1000 if total is not None else None,
        figures=tuple(
            f for check in report.checks for f in figures_of(check, lang) if not first or f not in first.figures[:1]
        ),
        pictures=tuple(picture for check in report.checks for picture in pictures_of(check, lang)),
    )


def reproduce(report: Report) -> str:
    """The command that grades the same file with the same inputs."""
    words = ["grader", "grade", report.file or "FILE", "-a", report.assignment, "--seed", report.seed]
    return shlex.join(words)


def _left(item: LeftOut, lang: Language) -> Left:
    return Left(where=item.where.say(lang), what=item.what, why=item.why.say(lang))


def _part_view(
    report: Report, name: str, score: float, most: float, texts: Mapping[str, Part], lang: Language
) -> PartView:
    part = texts.get(name)
    why = explanation(part, lang) if part else None
    checks = tuple(check_view(check, lang, why) for check in report.checks if check.part == name)
    title = part.title.say(lang) if part else name
    return PartView(name=name, title=title, score=score, max_score=most, checks=checks, why=why)


def _explained_once(part: PartView, first: CheckView | None) -> PartView:
    """The part with its mathematics at its first check that asks for it, or nowhere when it stands above all parts."""
    told = first is not None and first.part == part.name and first.why is not None
    asking = next((check.id for check in part.checks if check.why is not None), "")
    keep = "" if told else asking
    return replace(part, checks=tuple(c if c.id == keep else replace(c, why=None) for c in part.checks))


def explanation(part: Part, lang: Language) -> Markup | None:
    """The mathematics behind a part, when its author wrote some."""
    return statement(part.why.say(lang)) if part.why else None


def _first(report: Report, parts: Sequence[PartView]) -> CheckView | None:
    """The first thing to fix; where nothing failed, the first check that was not reached."""
    views = {check.id: check for part in parts for check in part.checks}
    first = next((views[check.id] for check in report.to_fix if check.id in views), None)
    return first or next((check for check in views.values() if check.status != "passed" and check.opens), None)


def planned(assignment: Assignment, lang: Language, *, hidden: bool = True) -> tuple[PartView, ...]:
    """The checks of an assignment before any has run, in the order and places where their results will stand.

    hidden: with those whose inputs are hidden.
    """
    made = []
    for part in assignment.parts:
        checks = tuple(
            CheckView(
                id=check.id,
                part=part.name,
                title=check.title.say(lang),
                status="waiting",
                points=0,
                max_points=check.points,
            )
            for check in assignment.checks
            if check.part == part.name and (hidden or check.visible)
        )
        most = sum(check.max_points for check in checks)
        made.append(PartView(name=part.name, title=part.title.say(lang), score=0, max_score=most, checks=checks))
    return tuple(made)


def score_bar(parts: Sequence[PartView]) -> tuple[Segment, ...]:
    """The parts side by side, each as wide as its points; 6 thousandths between two."""
    total = sum(part.max_score for part in parts)
    if total <= 0:
        return ()
    gap, start, made = 6.0, 0.0, []
    room = 1000 - gap * (len(parts) - 1)
    for part in parts:
        width = room * part.max_score / total
        filled = width * part.score / part.max_score if part.max_score else 0.0
        made.append(Segment(name=part.name, start=round(start, 1), width=round(width, 1), filled=round(filled, 1)))
        start += width + gap
    return tuple(made)
