"""Which pieces of a program the functions asked for need.

A file is not run from top to bottom, so a name that a function reads when it is called means the last binding in the
file, and a name that is read while defining means the binding that precedes the reader.
"""

from __future__ import annotations

import ast
import builtins
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from grader.intake.pieces import Kind, Piece, pieces_of, statements, target_names
from grader.intake.scopes import Reads
from grader.intake.syntax import Flaw, parse

Definition = (
    ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign | ast.Import | ast.ImportFrom
)

BUILTINS: Final = frozenset(dir(builtins)) | {"__file__", "__builtins__", "__annotations__", "__class__"}
_MAX_STEPS = 20_000  # bounds the search for what a call at top level reads; real files need some dozens


@dataclass(slots=True)
class Closure:
    """Pieces that are needed, the imported names they use, and names that nothing binds."""

    kept: set[int] = field(default_factory=set)
    wanted: dict[int, set[str]] = field(default_factory=dict)  # import piece -> names that are used
    unresolved: dict[str, int] = field(default_factory=dict)  # name -> line that reads it


class Program:
    """The top level of one source, indexed by what binds each name."""

    def __init__(self, tree: ast.Module, text: str) -> None:
        self.lines = text.split("\n")
        self.pieces = pieces_of(tree, self.lines)
        self.bindings: dict[str, list[int]] = {}
        self.loops: dict[str, list[int]] = {}
        self.guarded: set[str] = set()  # bound only under `if __name__ == "__main__"`
        self.mutations: dict[str, list[int]] = {}
        self.globals: set[str] = set()
        self.stars: list[int] = []
        self._defined: tuple[str, ...] | None = None
        for piece in self.pieces:
            self._index(piece)
        self.guarded -= self.bindings.keys() | self.loops.keys()

    @classmethod
    def read(cls, text: str) -> Program | Flaw:
        tree = parse(text)
        return tree if isinstance(tree, Flaw) else cls(tree, text)

    def _index(self, piece: Piece) -> None:
        self.globals |= piece.reads.globals
        if piece.kind is Kind.MAIN:
            self.guarded |= piece.binds
            return
        where = self.loops if piece.kind is Kind.LOOP else self.bindings
        for name in piece.binds:
            where.setdefault(name, []).append(piece.index)
        if piece.kind in (Kind.MUTATION, Kind.ASSIGNMENT):
            for name in piece.scope.mutated:
                self.mutations.setdefault(name, []).append(piece.index)
        if piece.scope.stars and piece.kind is not Kind.FUTURE:
            self.stars.append(piece.index)

    def binds(self, name: str) -> bool:
        return name in self.bindings or name in self.loops

    def binding(self, name: str, before: int | None = None) -> int | None:
        """The last piece that binds `name`; with `before`, the last one above that piece. Loops come last."""
        found = self.bindings.get(name) or self.loops.get(name)
        if not found:
            return None
        if before is None:
            return found[-1]
        at = bisect_left(found, before)
        return found[at - 1] if at else None

    def definition(self, name: str, before: int | None = None) -> tuple[int, Definition] | None:
        """The statement that defines `name` last, and the piece it stands in."""
        index = self.binding(name, before)
        if index is None:
            return None
        last: Definition | None = None
        for node in statements(self.pieces[index].node):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                if node.name == name:
                    last = node
            elif isinstance(node, ast.Import | ast.ImportFrom):
                if any((a.asname or a.name.partition(".")[0]) == name for a in node.names):
                    last = node
            elif isinstance(node, ast.Assign | ast.AnnAssign) and name in target_names(node):
                last = node
        return None if last is None else (index, last)

    def defined(self) -> tuple[str, ...]:
        """Functions and classes that the top level defines, in the order of their first definition."""
        if self._defined is None:
            self._defined = tuple(self._definitions())
        return self._defined

    def _definitions(self) -> dict[str, None]:
        names: dict[str, None] = {}
        for piece in self.pieces:
            if piece.kind in (Kind.DEFINITION, Kind.BLOCK, Kind.LOOP):
                for node in statements(piece.node):
                    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                        names[node.name] = None
            elif isinstance(piece.node, ast.Assign) and isinstance(piece.node.value, ast.Lambda):
                names.update(dict.fromkeys(target_names(piece.node)))
        return names

    def closure(
        self, names: Iterable[str], extra: Reads | None = None, *, called_in: Collection[int] | None = None
    ) -> Closure:
        """What the names need, and what code that was read apart (`extra`) needs.

        With `called_in`, what a value is computed with is not needed, except in those pieces: of `p = g(x)` only x.
        """
        search = _Search(self, called_in)
        for name in names:
            search.last(name, 0)
        if extra is not None:
            for line_of in (extra.now, extra.later):
                for name, line in line_of.items():
                    search.last(name, line)
        search.run()
        return search.closure


class _Search:
    """One transitive search, with a list of things to do instead of recursion."""

    def __init__(self, program: Program, called_in: Collection[int] | None) -> None:
        self.closure = Closure()
        self._program = program
        self._called_in = called_in
        self._todo: list[tuple[str, int | None, int, bool]] = []  # name, above which piece, line, must be there
        self._seen: set[tuple[str, int | None]] = set()
        self._runs: set[tuple[int, int]] = set()
        self._steps = 0
        self._imported: set[str] = set()
        self._mutated: dict[tuple[str, int], int] = {}  # how many mutations of a binding have been kept

    def last(self, name: str, line: int) -> None:
        self._todo.append((name, None, line, True))

    def run(self) -> None:
        while self._todo:
            name, before, line, required = self._todo.pop()
            if (name, before) in self._seen:
                continue
            self._seen.add((name, before))
            self._need(name, before, line, required)

    def _need(self, name: str, before: int | None, line: int, required: bool) -> None:
        program = self._program
        index = program.binding(name, before)
        if index is None and required:
            # read before anything binds it: any binding is better than none
            index = program.binding(name)
            index = None if index == before else index
        if index is None:
            if required and not program.binds(name) and name not in BUILTINS:
                self._unresolved(name, line)
            return
        self._keep(index, name)
        self._keep_mutations(name, index, before)
        piece = program.pieces[index]
        if piece.conditional:
            self._todo.append((name, index, line, False))
        if isinstance(piece.node, ast.Import) and name not in self._imported:
            self._imported.add(name)
            # `import a` and `import a.b` bind one name and are both needed for a.b
            for other in program.bindings[name]:
                if isinstance(program.pieces[other].node, ast.Import):
                    self._keep(other, name)
        if before is not None:
            self._executed(index, before)

    def _unresolved(self, name: str, line: int) -> None:
        if name.endswith("."):  # a module imported by a call
            return
        if not self.closure.unresolved:
            for star in self._program.stars:
                self._keep(star, "*")
        self.closure.unresolved.setdefault(name, line)

    def _keep_mutations(self, name: str, index: int, before: int | None) -> None:
        found = self._program.mutations.get(name)
        if found is None:
            return
        start = max(bisect_left(found, index + 1), self._mutated.get((name, index), 0))
        end = len(found) if before is None else bisect_left(found, before)
        for mutation in found[start:end]:
            self._keep(mutation, name)
        self._mutated[name, index] = max(start, end)

    def _keep(self, index: int, name: str) -> None:
        piece = self._program.pieces[index]
        if piece.kind is Kind.IMPORT:
            self.closure.wanted.setdefault(index, set()).add(name)
        if index in self.closure.kept:
            return
        self.closure.kept.add(index)
        executed = self._called_in is None or index in self._called_in or not piece.computes
        for read, line in (piece.reads.now if executed else piece.reads.held).items():
            self._todo.append((read, index, line, True))
        for read, line in piece.reads.later.items():
            self._todo.append((read, None, line, True))

    def _executed(self, index: int, at: int) -> None:
        """A piece that is used while defining piece `at` may be called there: what it reads must precede it too."""
        if self._program.pieces[at].kind is Kind.DEFINITION and not _has_calls(self._program.pieces[at].node):
            return
        later = self._program.pieces[index].reads.later
        if (index, at) not in self._runs and self._steps < _MAX_STEPS:
            self._runs.add((index, at))
            self._steps += len(later)
            self._todo += [(name, at, line, False) for name, line in later.items()]


def _has_calls(node: ast.stmt) -> bool:
    """Whether defining a function or class calls anything that could be the student's."""
    if isinstance(node, ast.ClassDef):
        return True
    return bool(getattr(node, "decorator_list", ()))


def names_bound(programs: Mapping[str, Program], module: str) -> frozenset[str]:
    """What a sibling module offers to `from module import *`."""
    program = programs.get(module)
    if program is None:
        return frozenset()
    return frozenset(n for n in (*program.bindings, *program.loops) if not n.startswith("_"))
