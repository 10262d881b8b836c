"""What changed between two files, line by line, in bounded time whatever the files hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

MOST_EDITS: Final = 600  # beyond it the stretch in between counts as rewritten; time grows with the square
AROUND: Final = 3  # unchanged lines shown before and after a change

Kind = Literal["same", "added", "removed", "gap"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffLine:
    """One line of a comparison. before, after: its number in either file. gap: unchanged lines that are not shown."""

    kind: Kind
    before: int | None
    after: int | None
    text: str


def compare_sources(before: str, after: str) -> tuple[DiffLine, ...]:
    """The changed lines with a few around them; empty when both are the same."""
    old, new = before.splitlines(), after.splitlines()
    lines = _all_lines(old, new)
    near = _near_changes(lines)
    shown: list[DiffLine] = []
    for at, line in enumerate(lines):
        if near[at]:
            shown.append(line)
        elif not shown or shown[-1].kind != "gap":
            shown.append(DiffLine(kind="gap", before=None, after=None, text=""))
    return tuple(shown) if any(line.kind in ("added", "removed") for line in shown) else ()


def _near_changes(lines: Sequence[DiffLine]) -> list[bool]:
    near = [False] * len(lines)
    for at, line in enumerate(lines):
        if line.kind != "same":
            for other in range(max(0, at - AROUND), min(len(lines), at + AROUND + 1)):
                near[other] = True
    return near


def _all_lines(old: Sequence[str], new: Sequence[str]) -> list[DiffLine]:
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    middle_old, middle_new = old[start : len(old) - end], new[start : len(new) - end]
    same = _common(middle_old, middle_new)
    pairs = [(at, at) for at in range(start)]
    pairs += [(start + i, start + j) for i, j in same]
    pairs += [(len(old) - end + at, len(new) - end + at) for at in range(end)]
    return _merge(old, new, pairs)


def _merge(old: Sequence[str], new: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[DiffLine]:
    """All lines in order, given the pairs of lines that stayed."""
    lines: list[DiffLine] = []
    i = j = 0
    for to_i, to_j in (*pairs, (len(old), len(new))):
        lines += [DiffLine(kind="removed", before=at + 1, after=None, text=old[at]) for at in range(i, to_i)]
        lines += [DiffLine(kind="added", before=None, after=at + 1, text=new[at]) for at in range(j, to_j)]
        if to_i < len(old):
            lines.append(DiffLine(kind="same", before=to_i + 1, after=to_j + 1, text=old[to_i]))
        i, j = to_i + 1, to_j + 1
    return lines


def _common(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Index pairs of a longest common subsequence (Myers 1986); none when more than MOST_EDITS edits lie between."""
    reach: dict[int, int] = {1: 0}
    trace: list[dict[int, int]] = []
    for edits in range(min(MOST_EDITS, len(old) + len(new)) + 1):
        trace.append(dict(reach))
        for k in range(-edits, edits + 1, 2):
            down = k == -edits or (k != edits and reach[k - 1] < reach[k + 1])
            x = reach[k + 1] if down else reach[k - 1] + 1
            while x < len(old) and x - k < len(new) and old[x] == new[x - k]:
                x += 1
            reach[k] = x
            if x >= len(old) and x - k >= len(new):
                return _walk_back(trace, len(old), len(new))
    return []


def _walk_back(trace: Sequence[dict[int, int]], x: int, y: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for edits in range(len(trace) - 1, -1, -1):
        reach, k = trace[edits], x - y
        down = k == -edits or (k != edits and reach[k - 1] < reach[k + 1])
        before_k = k + 1 if down else k - 1
        from_x = reach[before_k]
        from_y = from_x - before_k
        while x > from_x and y > from_y and x > 0 and y > 0:
            x, y = x - 1, y - 1
            pairs.append((x, y))
        x, y = from_x, from_y
    return pairs[::-1]
