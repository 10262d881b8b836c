"""A submission's source as staff see it: cell by cell, with the lines marked that failed checks point to.

Where a check's message names a line (an exception, a function that is not allowed), that line is marked; otherwise the
definition of the function that was called, since a wrong number has no line of its own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from grader.assignments import Assignment
from grader.intake import Source
from grader.intake.program import Program
from grader.reports import CheckResult, Language, Report, Status, Text
from grader.web.markup import code_html
from grader.web.staff_views import SourceBlock, SourceMark

_PLACE = re.compile(r"\b(?:code cell (\d+), )?line (\d+)\b")
_Lines = tuple[int, int]  # of the flat program, from 1, the last one included


def blocks(source: Source, assignment: Assignment, report: Report | None, lang: Language) -> tuple[SourceBlock, ...]:
    """The code cells of a notebook, or the one block of a script. report: none while there is no verdict."""
    marks = _marks(source, assignment, report, lang)
    lines = source.text.split("\n")
    broken = {cell.origin.cell: cell.text for cell in source.broken}
    made = []
    for cell, group in groupby(enumerate(source.origins, start=1), key=lambda pair: pair[1].cell):
        numbers = [number for number, _ in group]
        text = broken.get(cell, "\n".join(lines[number - 1] for number in numbers))
        if not text.strip():
            continue
        own = [
            SourceMark(first=first - numbers[0] + 1, last=last - numbers[0] + 1, why=why)
            for (first, last), why in sorted(marks.items())
            if first in numbers
        ]
        made.append(_block(source.name, cell, text, own, lang))
    return tuple(made)


def _block(name: str, cell: int | None, text: str, marks: Sequence[SourceMark], lang: Language) -> SourceBlock:
    anchor = f"cell{cell or 0}"
    marked = {line: "" for mark in marks for line in range(mark.first, mark.last + 1)}
    marked |= {mark.first: mark.why for mark in marks}
    title = name if cell is None else Text(en=f"Code cell {cell}", zh=f"代码单元 {cell}").say(lang)
    html = code_html(text, marked, prefix=f"{anchor}L")
    return SourceBlock(anchor=anchor, title=title, html=html, marks=tuple(marks))


def _marks(source: Source, assignment: Assignment, report: Report | None, lang: Language) -> dict[_Lines, str]:
    """Lines of the flat program and what fails there."""
    program = Program.read(source.text)
    found: dict[_Lines, dict[str, int]] = {}
    for check in report.checks if report is not None else ():
        if check.status is Status.FAILED:
            for lines in _places(check, source, assignment, program if isinstance(program, Program) else None):
                parts = found.setdefault(lines, {})
                parts[check.part] = parts.get(check.part, 0) + 1
    return {lines: _why(parts, lang) for lines, parts in found.items()}


def _why(parts: dict[str, int], lang: Language) -> str:
    said = [
        Text(
            en=f"{part}: {count} check{'' if count == 1 else 's'} failed",
            zh=f"{part}：{count} 项检查未通过",
        ).say(lang)
        for part, count in parts.items()
    ]
    return ("；" if lang == "zh" else "; ").join(said)


def _places(check: CheckResult, source: Source, assignment: Assignment, program: Program | None) -> Iterator[_Lines]:
    if (line := _named_line(check, source)) is not None:
        yield line, line
    elif program is not None:
        yield from dict.fromkeys(
            lines for name in _asked(check, assignment) if (lines := definition(program, name)) is not None
        )


def _named_line(check: CheckResult, source: Source) -> int | None:
    place = None if check.message is None else _PLACE.search(check.message.en)
    if place is None:
        return None
    cell, line = None if place[1] is None else int(place[1]), int(place[2])
    return next((n for n, at in enumerate(source.origins, 1) if (at.cell, at.line) == (cell, line)), None)


def _asked(check: CheckResult, assignment: Assignment) -> Sequence[str]:
    """The names that a check called, as far as its input tells; else all of its part, methods rather than classes."""
    asks = next((part.asks for part in assignment.parts if part.name == check.part), ())
    call = check.input.get("call", "") if isinstance(check.input, dict) else ""
    called = [name for name in asks if name.rpartition(".")[2] == str(call).rpartition(".")[2]]
    return called or [name for name in asks if not any(other.startswith(f"{name}.") for other in asks)]


def definition(program: Program, name: str) -> _Lines | None:
    """Where a function, class or method ("Relu.backward") is defined; a method that is inherited is its class's."""
    head, _, method = name.partition(".")
    found = program.definition(head)
    if found is None:
        return None
    node: ast.stmt = found[1]
    if method and isinstance(node, ast.ClassDef):
        methods = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name == method]
        node = methods[-1] if methods else node
    return node.lineno, node.end_lineno or node.lineno


def snippet(source: Source, asks: Sequence[str]) -> tuple[str, int] | None:
    """The definition of the first of these names that the source has: its text and the line it begins on there."""
    program = Program.read(source.text)
    if not isinstance(program, Program):
        return None
    for name in asks:
        lines = definition(program, name)
        if lines is not None:
            first, last = lines
            return "\n".join(source.text.split("\n")[first - 1 : last]), source.origins[first - 1].line
    return None
