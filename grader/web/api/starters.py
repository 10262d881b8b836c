"""A starter file as a notebook: its text in cells, in its order, nothing added and nothing left out."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator


def notebook(source: str, title: str) -> bytes:
    """A notebook (nbformat 4.5) of a Python file: one cell for each definition, one for what stands between two."""
    cells = [_cell("markdown", f"# {title}", 0)]
    cells += [_cell("code", text, number) for number, text in enumerate(_pieces(source), start=1)]
    made = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(made, ensure_ascii=False, indent=1).encode() + b"\n"


def _cell(kind: str, text: str, number: int) -> dict[str, object]:
    cell: dict[str, object] = {
        "cell_type": kind,
        "id": hashlib.sha256(f"{number}\0{text}".encode()).hexdigest()[:8],
        "metadata": {},
        "source": text.splitlines(keepends=True),
    }
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}


def _pieces(source: str) -> Iterator[str]:
    """The file cut before and after each definition; comments and decorators stay with what follows them."""
    lines = source.splitlines(keepends=True)
    start = 0
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1
            while first > start and lines[first - 1].lstrip().startswith("#"):
                first -= 1
            yield from _filled(lines[start:first])
            yield from _filled(lines[first : node.end_lineno])
            start = node.end_lineno or first
    yield from _filled(lines[start:])


def _filled(lines: list[str]) -> Iterator[str]:
    text = "".join(lines).strip("\n")
    if text.strip():
        yield text
