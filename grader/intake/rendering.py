"""Writes the kept pieces back at their own lines and columns, with spaces for all the rest."""

from __future__ import annotations

import ast

from grader.intake.pieces import Kind, Piece
from grader.intake.program import Closure, Program


def render(program: Program, closure: Closure) -> str:
    """The slice as a program that parses. Every line of the original has a line in it."""
    lines = [""] * len(program.lines)
    kept = [p for p in program.pieces if p.index in closure.kept or p.kind is Kind.FUTURE]
    previous: Piece | None = None
    leading = True  # future imports are only legal above all other statements
    for piece in kept:
        leading = leading and piece.kind is Kind.FUTURE
        if piece.kind is Kind.FUTURE and not leading:
            continue
        body = _body(program, piece, closure)
        row = piece.start[0]
        lines[row] = _start(program, piece, previous, lines[row]) + body[0]
        for offset, line in enumerate(body[1:], start=1):
            lines[row + offset] = line
        previous = piece
    return "\n".join(lines)


def futures_kept(program: Program, closure: Closure) -> frozenset[int]:
    """The future imports that render keeps."""
    others = min(closure.kept, default=len(program.pieces))
    return frozenset(p.index for p in program.pieces if p.kind is Kind.FUTURE and p.index < others)


def _start(program: Program, piece: Piece, previous: Piece | None, before: str) -> str:
    """What precedes a piece on its line, as wide as it was and neutral."""
    row, column = piece.start
    if previous is not None and previous.end[0] == row and before.strip():
        return before + ";" + " " * (column - len(before) - 1)
    prefix = program.lines[row][:column]
    joined = piece.index > 0 and _same_statement_line(program, piece)
    if not joined:
        return prefix  # only white space: the piece starts its line
    # a statement may not be indented, so what stood before it becomes a statement that does nothing
    return "0;" + " " * (column - 2) if column >= 2 else ""


def _same_statement_line(program: Program, piece: Piece) -> bool:
    """Whether a semicolon precedes the piece, on this line or before a backslash."""
    row, column = program.pieces[piece.index - 1].end
    while row < piece.start[0]:
        if not program.lines[row].endswith("\\") or "#" in program.lines[row][column:]:
            return False
        row, column = row + 1, 0
    return True


def _body(program: Program, piece: Piece, closure: Closure) -> list[str]:
    """The text of a piece, line by line; an import only with the names that are used."""
    (first, start), (last, end) = piece.start, piece.end
    text = program.lines[first : last + 1]
    text[-1] = text[-1][:end]
    text[0] = text[0][start:]
    node = piece.node
    wanted = closure.wanted.get(piece.index)
    if wanted is None or "*" in wanted or not isinstance(node, ast.Import | ast.ImportFrom):
        return text
    names = [a for a in node.names if (a.asname or a.name.partition(".")[0]) in wanted]
    if not names or len(names) == len(node.names):
        return text
    spelled = ", ".join(f"{a.name} as {a.asname}" if a.asname else a.name for a in names)
    if isinstance(node, ast.ImportFrom):
        spelled = f"from {'.' * node.level}{node.module or ''} import {spelled}"
    else:
        spelled = f"import {spelled}"
    if len(text) == 1:
        return [spelled.ljust(len(text[0]))]
    return [spelled, *([""] * (len(text) - 1))]
