"""The statements at the top level of a program, with their exact extent and what each is for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from grader.intake.scopes import Reads, Scope, chain_of, reads, scan

# Calls that are cheap and change the numbers that later calls give.
CONFIGURES = frozenset(
    {
        "seed",
        "set_seed",
        "manual_seed",
        "manual_seed_all",
        "set_random_seed",
        "set_floatx",
        "set_default_dtype",
        "set_default_tensor_type",
        "seterr",
        "experimental_enable_numpy_behavior",
    }
)


class Kind(StrEnum):
    """What a top-level statement is for."""

    FUTURE = "future"
    IMPORT = "import"
    DEFINITION = "definition"
    ASSIGNMENT = "assignment"
    MUTATION = "mutation"  # `Matmul.forward = forward`, `table["k"] = v`
    CONFIGURATION = "configuration"
    BLOCK = "block"  # if, try, with, match
    LOOP = "loop"
    MAIN = "main"  # if __name__ == "__main__"
    PRINT = "print"
    PLOT = "plot"
    CALL = "call"
    OTHER = "other"
    NOTHING = "nothing"  # docstrings, pass: leaving them out is not worth a word


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Piece:
    """One top-level statement. Lines and columns count from 0; the end is exclusive; columns count characters."""

    index: int
    node: ast.stmt
    kind: Kind
    start: tuple[int, int]
    end: tuple[int, int]
    scope: Scope
    reads: Reads

    @property
    def binds(self) -> frozenset[str]:
        return frozenset(self.scope.bound)

    @property
    def computes(self) -> bool:
        """Whether it makes values: what it calls itself has been called before any function is."""
        return self.kind in (Kind.ASSIGNMENT, Kind.MUTATION, Kind.BLOCK, Kind.LOOP)

    @property
    def conditional(self) -> bool:
        """Whether its names may also keep the value they had before."""
        return self.kind in (Kind.BLOCK, Kind.LOOP)


def pieces_of(tree: ast.Module, lines: list[str]) -> tuple[Piece, ...]:
    """The pieces of a program whose text is `lines`."""
    found: list[Piece] = []
    end = (0, 0)
    columns = _Columns(lines)
    for index, node in enumerate(tree.body):
        start = (node.lineno - 1, columns.at(node.lineno - 1, node.col_offset))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.decorator_list:
            start = _at_sign(lines, end, start)
        last = (node.end_lineno or node.lineno) - 1
        end = (last, columns.at(last, node.end_col_offset or 0))
        scope = scan(node)
        piece = Piece(
            index=index, node=node, kind=_kind(node, scope), start=start, end=end, scope=scope, reads=reads(scope)
        )
        found.append(piece)
    return tuple(found)


def statements(node: ast.stmt) -> Iterator[ast.stmt]:
    """The statement and those inside its blocks, in order, without entering functions and classes."""
    stack: list[ast.AST] = [node]
    while stack:
        statement = stack.pop()
        if isinstance(statement, ast.stmt):
            yield statement
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
        nested: list[ast.AST] = []
        for block in ("body", "handlers", "cases", "orelse", "finalbody"):
            nested += getattr(statement, block, [])
        stack += reversed(nested)


def target_names(node: ast.stmt) -> Iterator[str]:
    """Names that a plain assignment binds directly, not through tuples."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    for target in targets:
        if isinstance(target, ast.Name):
            yield target.id


class _Columns:
    """Turns the columns of ast, which count UTF-8 bytes, into characters. Asked in the order of the text."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._line = -1
        self._bytes = b""
        self._known = (0, 0)  # the last answer on this line: a line of many statements is decoded only once

    def at(self, line: int, offset: int) -> int:
        if self._lines[line].isascii():
            return offset
        if line != self._line:
            self._line, self._bytes, self._known = line, self._lines[line].encode(), (0, 0)
        start, column = self._known if self._known[0] <= offset else (0, 0)
        column += len(self._bytes[start:offset].decode())
        self._known = (offset, column)
        return column


def _at_sign(lines: list[str], after: tuple[int, int], before: tuple[int, int]) -> tuple[int, int]:
    """Where the decorators of a definition begin: ast leaves them out of its extent."""
    line, column = after
    while line < before[0]:
        code = lines[line][column:].partition("#")[0]
        if "@" in code:
            return line, column + code.index("@")
        line, column = line + 1, 0
    return before


def _kind(node: ast.stmt, scope: Scope) -> Kind:
    match node:
        case ast.ImportFrom(module="__future__", level=0):
            return Kind.FUTURE
        case ast.Import() | ast.ImportFrom():
            return Kind.IMPORT
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return Kind.DEFINITION
        case ast.For() | ast.AsyncFor() | ast.While():
            return Kind.LOOP
        case ast.If() if _is_main(node.test):
            return Kind.MAIN
        case ast.If() | ast.Try() | ast.With() | ast.AsyncWith() | ast.Match():
            return Kind.BLOCK
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return Kind.NOTHING
        case ast.Expr():
            return _kind_of_call(node.value, scope)
    if type(node).__name__ == "TryStar":
        return Kind.BLOCK
    if scope.bound:
        return Kind.ASSIGNMENT
    return Kind.MUTATION if scope.mutated else Kind.OTHER


def _is_main(test: ast.expr) -> bool:
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)):
        return False
    sides = (test.left, test.comparators[0])
    return any(isinstance(s, ast.Name) and s.id == "__name__" for s in sides) and any(
        isinstance(s, ast.Constant) and s.value == "__main__" for s in sides
    )


def _kind_of_call(value: ast.expr, scope: Scope) -> Kind:
    if scope.bound:  # (x := 1)
        return Kind.ASSIGNMENT
    if not isinstance(value, ast.Call):
        return Kind.OTHER
    chain, _ = chain_of(value.func)
    called = "" if chain is None else (chain.tail or (chain.root,))[-1]
    if called in CONFIGURES:
        return Kind.CONFIGURATION
    if called in ("print", "display"):
        return Kind.PRINT
    if chain is not None and chain.root in ("plt", "sns", "pylab", "ax", "fig"):
        return Kind.PLOT
    return Kind.CALL
