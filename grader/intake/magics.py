"""What notebooks allow and Python does not: line magics, shell commands, help marks, cell magics.

A cell is first parsed as it is, because a line that starts with % may be the rest of an expression or part of a
string. Only a cell that fails is searched for magics, and only at places where a statement can start.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from enum import StrEnum

from grader.intake.syntax import Flaw, parse

_RUNS_THE_CELL = frozenset({"time", "timeit", "capture", "prun", "memit"})  # the rest of the cell is ordinary Python
_MAGIC = re.compile(r"\s*[%!?]")
_ASSIGNED = re.compile(r"[^=!<>%\"'#]*[^=!<>%\"'#\s]\s*=\s*[!%]\s*\w")
_HELP = re.compile(r"\s*[%\w.]+\?{1,2}\s*(#.*)?$")
_AUTOMAGIC = re.compile(r"\s*(pip3?|conda)\s+(install|uninstall|list|freeze)\b|\s*cd\s+[\w./~]+\s*$")
_QUOTE = re.compile(r"'''|\"\"\"|'|\"|#|[()\[\]{}]")


class Dropped(StrEnum):
    """Why lines of a cell are not run."""

    MAGIC = "magic"
    CELL_MAGIC = "cell magic"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Lines of a cell, counted from 1, that were blanked."""

    first: int
    last: int
    why: Dropped


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanCell:
    """A cell as plain Python with as many lines as before; all blank when `flaw` says it does not parse."""

    lines: tuple[str, ...]
    gaps: tuple[Gap, ...]
    flaw: Flaw | None


def clean(lines: list[str]) -> CleanCell:
    """The cell without what only IPython understands."""
    gaps: list[Gap] = []
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if lines[first].lstrip().startswith("%%"):
        name = re.match(r"\s*%%\s*(\w*)", lines[first])
        if name is None or name[1] not in _RUNS_THE_CELL:
            gaps = [Gap(first=first + 1, last=len(lines), why=Dropped.CELL_MAGIC)]
            return CleanCell(lines=("",) * len(lines), gaps=tuple(gaps), flaw=None)
        gaps.append(Gap(first=first + 1, last=first + 1, why=Dropped.MAGIC))
        lines = [*lines[:first], "", *lines[first + 1 :]]
    result = parse("\n".join(lines))
    if isinstance(result, Flaw) and (found := _magic_lines(lines)):
        for i in found:
            gaps.append(Gap(first=i + 1, last=i + 1, why=Dropped.MAGIC))
        lines = [("" if found[i] else _without(line)) if i in found else line for i, line in enumerate(lines)]
        result = parse("\n".join(lines))
    if not isinstance(result, ast.Module):
        return CleanCell(lines=("",) * len(lines), gaps=tuple(gaps), flaw=result)
    return CleanCell(lines=tuple(lines), gaps=tuple(gaps), flaw=None)


def _without(line: str) -> str:
    """A blank line, or `pass` where the magic was indented and may be all that a block holds."""
    indent = line[: len(line) - len(line.lstrip())]
    return f"{indent}pass" if indent and line.strip() else ""


def _magic_lines(lines: list[str]) -> dict[int, bool]:
    """The lines that are magics, among those where a statement can start; True: only the rest of one."""
    found: dict[int, bool] = {}
    quote, depth, joined = "", 0, False
    in_magic = False  # a shell command goes on after a backslash
    for i, line in enumerate(lines):
        if in_magic or (not quote and depth == 0 and not joined and _is_magic(line)):
            found[i] = in_magic
            in_magic = line.rstrip().endswith("\\")
            continue
        quote, depth = _after(line, quote, depth)
        joined = line.endswith("\\")
    return found


def _is_magic(line: str) -> bool:
    if len(line) > 2000:  # a magic is typed by hand; long lines are data
        return bool(_MAGIC.match(line))
    return any(pattern.match(line) for pattern in (_MAGIC, _ASSIGNED, _HELP, _AUTOMAGIC))


def _after(line: str, quote: str, depth: int) -> tuple[str, int]:
    """The open quote and the number of open brackets at the end of a line."""
    i = 0
    while i < len(line):
        if quote:
            end = _closing(line, i, quote)
            if end < 0:
                # a single-quoted string ends with its line unless a backslash carries it on
                return (quote if len(quote) == 3 or line.endswith("\\") else ""), depth
            i, quote = end, ""
            continue
        found = _QUOTE.search(line, i)
        if found is None or found[0] == "#":
            break
        i = found.end()
        if found[0] in "([{":
            depth += 1
        elif found[0] in ")]}":
            depth = max(0, depth - 1)
        else:
            quote = found[0]
    return quote, depth


def _closing(line: str, i: int, quote: str) -> int:
    """The index just after the closing quote, or -1."""
    while (j := line.find(quote, i)) >= 0:
        back = j
        while back > i and line[back - 1] == "\\":
            back -= 1
        if (j - back) % 2 == 0:
            return j + len(quote)
        i = j + 1
    return -1
