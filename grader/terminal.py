"""Reports for people at a terminal of 80 columns: score, the first thing to fix, all checks by part, notes."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text as Line

from grader.reports import CheckResult, Json, Language, Report, ReportStatus, Status

_MARK = {Status.PASSED: ("✓", "green"), Status.FAILED: ("✗", "red"), Status.NOT_REACHED: ("·", "yellow")}
_WORD: dict[Status, dict[Language, str]] = {
    Status.PASSED: {"en": "passed", "zh": "通过"},
    Status.FAILED: {"en": "failed", "zh": "未通过"},
    Status.NOT_REACHED: {"en": "not run", "zh": "未运行"},
}
_SAY: dict[str, dict[Language, str]] = {
    "score": {"en": "Score", "zh": "得分"},
    "first": {"en": "First thing to fix", "zh": "先改这一处"},
    "other": {"en": "Also", "zh": "其他问题"},
    "notes": {"en": "Notes", "zh": "说明"},
    "left_out": {"en": "Not run", "zh": "没有运行的部分"},
    "input": {"en": "input", "zh": "输入"},
    "got": {"en": "got", "zh": "得到"},
    "expected": {"en": "expected", "zh": "应为"},
    "printed": {"en": "Your prints", "zh": "你打印的内容"},
    "not_gradable": {"en": "Not graded, and no attempt is used", "zh": "没有评分，也不消耗提交次数"},
    "grader_error": {"en": "The grader failed", "zh": "评分程序出错"},
    "again": {"en": "The same inputs again", "zh": "用同样的输入重评"},
}


def render(report: Report, lang: Language = "en") -> RenderableType:
    """The whole report on one file."""
    parts: list[RenderableType] = [_head(report, lang)]
    if report.status is not ReportStatus.GRADED:
        return Group(*parts, *(Line(note.say(lang)) for note in report.notes), Line(""))
    failed = [check for check in report.checks if check.status is Status.FAILED]
    if failed:
        parts.append(_card(failed[0], _SAY["first"][lang], lang))
    parts.append(_checks(report, lang))
    others = _other_messages(failed[1:], failed[:1], lang)
    if others:
        parts += [Line(_SAY["other"][lang], style="bold"), *others]
    if report.notes:
        parts += [Line(_SAY["notes"][lang], style="bold"), *(Line(f"- {n.say(lang)}") for n in report.notes)]
    if report.left_out:
        parts.append(Line(_SAY["left_out"][lang], style="bold"))
        parts += [Line(f"- {o.where}: {o.why.say(lang)}", style="dim") for o in report.left_out[:8]]
        if len(report.left_out) > 8:
            parts.append(Line(f"- ... {len(report.left_out) - 8}", style="dim"))
    return Group(*parts, Line(""))


def _head(report: Report, lang: Language) -> RenderableType:
    line = Line()
    line.append(report.file, style="bold")
    line.append(f"  {report.assignment}\n")
    if report.status is ReportStatus.GRADED:
        line.append(f"{_SAY['score'][lang]} {_points(report.score)} / {_points(report.max_score)}", style="bold")
        line.append("   " + "  ".join(f"{p.name} {_points(p.score)}/{_points(p.max_score)}" for p in report.parts))
    else:
        line.append(_SAY[str(report.status)][lang], style="bold yellow")
    return line


def _card(check: CheckResult, title: str, lang: Language) -> RenderableType:
    lines: list[RenderableType] = [Line(f"{check.part}: {check.title.say(lang)}", style="bold")]
    if check.message:
        lines.append(Line(check.message.say(lang)))
    if check.input is not None:
        lines.append(Line(f"{_SAY['input'][lang]}: {_call(check.input)}", style="cyan"))
    if check.got is not None or check.expected is not None:
        lines.append(_beside(check, lang))
    return Panel(Group(*lines), title=title, title_align="left", box=box.ROUNDED, width=80)


def _beside(check: CheckResult, lang: Language) -> RenderableType:
    """Got beside expected, row by row, the worst cell marked with an arrow."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    for name in ("got", "expected"):
        table.add_column(_SAY[name][lang], justify="right", no_wrap=False, overflow="fold")
    worst = check.worst.index if check.worst else ()
    got, expected = _rows(check.got, worst), _rows(check.expected, ())
    for at in range(max(len(got), len(expected))):
        table.add_row(got[at] if at < len(got) else "", expected[at] if at < len(expected) else "")
    return table


def _rows(value: Json, worst: Sequence[int]) -> list[str]:
    if not isinstance(value, list) or not value:
        return [_cell(value)]
    if not isinstance(value[0], list):
        return ["  ".join(_cell(v, tuple(worst) == (i,)) for i, v in enumerate(value))]
    if value[0] and isinstance(value[0][0], list):
        return [_cell(json.dumps(value))[:400]]
    return ["  ".join(_cell(v, tuple(worst) == (i, j)) for j, v in enumerate(row)) for i, row in enumerate(value[:8])]


def _cell(value: Json, worst: bool = False) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"→{text}" if worst else text


def _call(shown: Json) -> str:
    args = ", ".join(_short(arg) for arg in shown["args"])
    return f"{shown['call']}({args})"


def _short(value: Json) -> str:
    """An argument on one line: written out while a person can follow it, else its shape."""
    if isinstance(value, dict) and "shape" in value:
        return f"array of shape {tuple(value['shape'])}"
    if isinstance(value, list):
        shape = _shape(value)
        if shape is not None and math.prod(shape) > 8:
            return f"array of shape {shape}"
        return "[" + ", ".join(_short(v) for v in value) + "]"
    return _cell(value)


def _shape(value: Json) -> tuple[int, ...] | None:
    """The shape of nested lists that form an array, else None."""
    if not isinstance(value, list):
        return ()
    inner = [_shape(item) for item in value]
    first = inner[0] if inner else ()
    if first is None or any(other != first for other in inner):
        return None
    return (len(value), *first)


def _checks(report: Report, lang: Language) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), width=80)
    table.add_column(width=9, no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(justify="right", width=8, no_wrap=True)
    for part in report.parts:
        table.add_row(
            Line(part.name, style="bold"), "", Line(f"{_points(part.score)}/{_points(part.max_score)}", style="bold")
        )
        for check in report.checks:
            if check.part == part.name:
                mark, colour = _MARK[check.status]
                points = f"{_points(check.points)}/{_points(check.max_points)}"
                table.add_row(Line(f"{mark} {_WORD[check.status][lang]}", style=colour), check.title.say(lang), points)
    return table


def _other_messages(
    failed: Sequence[CheckResult], shown: Sequence[CheckResult], lang: Language
) -> list[RenderableType]:
    """Further failures, each distinct message once; the first sentence is enough here."""
    said = {check.message.say(lang) for check in shown if check.message}
    lines: list[RenderableType] = []
    for check in failed:
        text = check.message.say(lang) if check.message else ""
        if text and text not in said:
            said.add(text)
            lines.append(Line(f"- {check.part}: {text}"))
    return lines


def _points(x: float) -> str:
    return f"{x:g}"


def summary(reports: Sequence[Report], lang: Language = "en") -> RenderableType:
    """One line a file, for many files."""
    table = Table(box=box.SIMPLE_HEAD, width=80)
    table.add_column("file" if lang == "en" else "文件", overflow="fold", ratio=1)
    table.add_column(_SAY["score"][lang], justify="right", no_wrap=True)
    table.add_column("first thing to fix" if lang == "en" else "先改这一处", overflow="fold", ratio=2)
    # Paths that share a folder are told apart by what follows it.
    shared = os.path.commonprefix([report.file for report in reports]).rfind("/") + 1
    for report in reports:
        first = (
            next((c.message for c in report.checks if c.status is Status.FAILED and c.message), None) or report.message
        )
        score = f"{_points(report.score)}/{_points(report.max_score)}" if report.checks else str(report.status)
        text = first.say(lang) if first else ""
        table.add_row(report.file[shared:], score, text if len(text) <= 120 else text[:117] + "...")
    return table


def console(**options: Any) -> Console:
    """A console of at least 80 columns that wraps Chinese and English alike and is plain when piped."""
    made = Console(highlight=False, markup=False, emoji=False, **options)
    return made if made.is_terminal else Console(highlight=False, markup=False, emoji=False, width=80, **options)
