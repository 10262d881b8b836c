"""Reports for people at a terminal of 80 columns: score, the first thing to fix, all checks by part, notes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text as Line

from grader.display import calls_text, cell_text, large_text
from grader.reports import CheckResult, Json, Language, Report, ReportStatus, Status

MOST_ROWS = 10
_MARK = {Status.PASSED: ("✓", "green"), Status.FAILED: ("✗", "red"), Status.NOT_REACHED: ("·", "yellow")}
_WORD: dict[Status, dict[Language, str]] = {
    Status.PASSED: {"en": "passed", "zh": "通过"},
    Status.FAILED: {"en": "failed", "zh": "未通过"},
    Status.NOT_REACHED: {"en": "skipped", "zh": "未检查"},
}
_UNGRADED: dict[ReportStatus, dict[Language, str]] = {
    ReportStatus.GRADED: {"en": "", "zh": ""},
    ReportStatus.NOT_GRADABLE: {"en": "not graded", "zh": "未评分"},
    ReportStatus.GRADER_ERROR: {"en": "our fault", "zh": "系统出错"},
}
_SAY: dict[str, dict[Language, str]] = {
    "score": {"en": "Score", "zh": "得分"},
    "first": {"en": "First thing to fix", "zh": "先改这一处"},
    "other": {"en": "Also", "zh": "其他问题"},
    "notes": {"en": "Notes", "zh": "说明"},
    "left_out": {"en": "Left out of your file", "zh": "文件中没有运行的代码"},
    "more": {"en": "and {} more", "zh": "还有 {} 处"},
    "input": {"en": "input", "zh": "输入"},
    "got": {"en": "got", "zh": "得到"},
    "expected": {"en": "expected", "zh": "应为"},
    "figure": {"en": "figure", "zh": "图"},
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
    failed = list(report.to_fix)
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
        parts += [Line(f"- {o.where.say(lang)}: {o.why.say(lang)}", style="dim") for o in report.left_out[:8]]
        if len(report.left_out) > 8:
            parts.append(Line(f"- {_SAY['more'][lang].format(len(report.left_out) - 8)}", style="dim"))
    return Group(*parts, Line(""))


def _head(report: Report, lang: Language) -> RenderableType:
    line = Line()
    line.append(report.file, style="bold")
    line.append(f"  {report.assignment}\n")
    if report.status is ReportStatus.GRADED:
        line.append(f"{_SAY['score'][lang]} {_points(report.score)} / {_points(report.max_score)}", style="bold")
        scores = "  ".join(f"{p.name} {_points(p.score)}/{_points(p.max_score)}" for p in report.parts)
        line.append(("   " if len(scores) <= 60 else "\n") + scores)
    else:
        line.append(_SAY[str(report.status)][lang], style="bold yellow")
    return line


def _card(check: CheckResult, title: str, lang: Language) -> RenderableType:
    lines: list[RenderableType] = [Line(check.title.say(lang), style="bold")]
    if check.message:
        lines.append(Line(check.message.say(lang)))
    if check.input is not None:
        lines.append(Line(f"{_SAY['input'][lang]}: " + "\n       ".join(calls_text(check.input)), style="cyan"))
    if check.got is not None or check.expected is not None:
        lines.append(_beside(check, lang))
    lines += [Line(f"{_SAY['figure'][lang]}: {figure.title.say(lang)}", style="cyan") for figure in check.figures]
    return Panel(Group(*lines), title=title, title_align="left", box=box.ROUNDED, width=80)


def _beside(check: CheckResult, lang: Language) -> RenderableType:
    """Got beside expected, row by row, the worst cell marked with an arrow."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    for name in ("got", "expected"):
        table.add_column(_SAY[name][lang], justify="right", no_wrap=False, overflow="fold")
    worst = check.worst.index if check.worst else ()
    got = _rows(check.got, worst)
    expected = _rows(check.expected, ()) if check.expected is not None or check.worst is not None else []
    for at in range(max(len(got), len(expected))):
        table.add_row(got[at] if at < len(got) else "", expected[at] if at < len(expected) else "")
    return table


def _rows(value: Json, worst: Sequence[int]) -> list[str]:
    """Rows of aligned cells, the worst one with an arrow before it."""
    if isinstance(value, dict) and "shape" in value and ("values" in value or "first_values" in value):
        return [large_text(value)]
    if not isinstance(value, list) or not value:
        return [cell_text(value)]
    if not isinstance(value[0], list):
        return [_row(value, [len(cell_text(v)) for v in value], [tuple(worst) == (i,) for i in range(len(value))])]
    if any(not isinstance(row, list) or any(isinstance(cell, list) for cell in row) for row in value):
        return [json.dumps(value)[:400]]
    columns = max(len(row) for row in value)
    widths = [max(len(cell_text(row[j])) for row in value if j < len(row)) for j in range(columns)]
    return [
        _row(row, widths, [tuple(worst) == (i, j) for j in range(len(row))]) for i, row in enumerate(value[:MOST_ROWS])
    ]


def _row(cells: Sequence[Json], widths: Sequence[int], worst: Sequence[bool]) -> str:
    marked = zip(cells, widths, worst, strict=False)
    return " ".join(("→" if bad else " ") + cell_text(cell).rjust(width) for cell, width, bad in marked)


def _checks(report: Report, lang: Language) -> RenderableType:
    tables: list[RenderableType] = []
    for part in report.parts:
        head = Table(box=None, show_header=False, padding=0, width=80)
        head.add_column(ratio=1)
        head.add_column(justify="right", width=9, no_wrap=True)
        head.add_row(Line(part.name, style="bold"), Line(_share(part.score, part.max_score), style="bold"))
        rows = Table(box=None, show_header=False, padding=(0, 1, 0, 0), width=80)
        rows.add_column(width=9, no_wrap=True)
        rows.add_column(ratio=1)
        rows.add_column(justify="right", width=8, no_wrap=True)
        for check in report.checks:
            if check.part == part.name:
                mark, colour = _MARK[check.status]
                word = Line(f"{mark} {_WORD[check.status][lang]}", style=colour)
                rows.add_row(word, check.title.say(lang), _share(check.points, check.max_points))
        tables += [head, rows]
    return Group(*tables)


def _share(points: float, most: float) -> str:
    return f"{_points(points)}/{_points(most)}"


def _other_messages(
    failed: Sequence[CheckResult], shown: Sequence[CheckResult], lang: Language
) -> list[RenderableType]:
    """Further failures: each mistake and each distinct message once."""
    said = {check.mistake or (check.message.say(lang) if check.message else "") for check in shown}
    lines: list[RenderableType] = []
    for check in failed:
        text = check.message.say(lang) if check.message else ""
        if text and (check.mistake or text) not in said:
            said.add(check.mistake or text)
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
    shared = _shared_folder([report.file for report in reports])
    for report in reports:
        first = next((c.message for c in report.to_fix if c.message), None) or report.message
        score = _share(report.score, report.max_score) if report.checks else _UNGRADED[report.status][lang]
        text = first.say(lang).split("\n")[0] if first else ""
        table.add_row(report.file[shared:], score, text if len(text) <= 120 else text[:117] + "...")
    return table


def figures_hint(reports: Sequence[Report], lang: Language = "en") -> str:
    """How to see what a terminal cannot show; empty when there is nothing of that kind."""
    checks = [check for report in reports for check in report.checks]
    drawn, own = sum(len(check.figures) for check in checks), sum(len(check.pictures) for check in checks)
    if not drawn + own:
        return ""
    if lang == "zh":
        counts = [f"{drawn} 幅图"] * bool(drawn) + [f"你的代码画出的 {own} 幅图"] * bool(own)
        return "、".join(counts) + "：用 --figures DIR 写到文件夹"
    counts = [_count(drawn, "figure")] * bool(drawn) + [f"{_count(own, 'picture')} drawn by your code"] * bool(own)
    return ", ".join(counts) + ": use --figures DIR"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def console(**options: Any) -> Console:
    """A console of at least 80 columns that wraps Chinese and English alike and is plain when piped."""
    made = Console(highlight=False, markup=False, emoji=False, **options)
    return made if made.is_terminal else Console(highlight=False, markup=False, emoji=False, width=80, **options)


def _shared_folder(files: Sequence[str]) -> int:
    """Length of the folder that all files share, with its slash; 0 when they share none."""
    folders = [file.split("/")[:-1] for file in files]
    same = list(itertools.takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False)))
    return sum(len(names[0]) + 1 for names in same)
