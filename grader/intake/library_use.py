"""Which library functions the answer to one asked name uses, whatever they are called there.

Only that answer counts: the function, what it calls in the file or in a module beside it, and nothing else. A
self-check that compares with the library's own function is not held against the student, and neither is a value that
was computed with it at top level, even if the function reads that value.
"""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from grader.intake.asked import Function, Lookup
from grader.intake.program import Program
from grader.intake.scopes import Chain, Scope, reads, scan

_MAX_MEANINGS = 20  # aliases of one name; more is an attempt to make the search explode


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """A library name as documented, such as "tensorflow.nn.softmax", and the line of the program that uses it."""

    dotted: str
    line: int


def packages_of(program: Program) -> frozenset[str]:
    """Top-level names of the packages that any import of the program mentions, also `__import__("m")`."""
    found: set[str] = set()
    for piece in program.pieces:
        for scope in piece.scope.everything():
            found.update(module.partition(".")[0] for module in scope.modules)
            found.update(chain.root.partition(".")[0] for chain in scope.chains if chain.root.endswith("."))
    return frozenset(found)


def library_uses(lookup: Lookup, modules: Mapping[str, Program], name: str) -> tuple[Use, ...]:
    """The library names that the answer to `name` uses in the program of `lookup`, each with its first line."""
    first: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    todo: list[tuple[str, str, int | None]] = [("", unicodedata.normalize("NFKC", name), None)]
    while todo:
        module, asked, line = todo.pop()
        if (module, asked) in seen:
            continue
        seen.add((module, asked))
        here = lookup.beside(modules[module]) if module else lookup
        if asked != "*" and not here.program.binds(asked.partition(".")[0]):
            continue
        for dotted, at in _Answer(here, asked).uses():
            where = at if line is None else line
            root, _, rest = dotted.partition(".")
            if root in modules:
                todo.append((root, rest or "*", where))
            first[dotted] = min(where, first.get(dotted, where))
    return tuple(Use(dotted=d, line=at) for d, at in sorted(first.items(), key=lambda item: (item[1], item[0])))


class _Answer:
    """The code behind one asked name of one program."""

    def __init__(self, lookup: Lookup, name: str) -> None:
        program = self._program = lookup.program
        head, _, method = name.partition(".")
        self._head, self._tail = head, (method,) if method else ()
        found = methods_reached(lookup, head, method) if method else []
        apart = scan(*found, later=True) if found else None
        extra = reads(apart) if apart is not None else None
        names = [] if found else [*program.bindings] if name == "*" else [head]
        at = program.binding(head)
        own = frozenset(() if at is None else (at,))  # `softmax = make()` is the answer itself
        closure = program.closure(names, extra, called_in=own)
        pieces = [program.pieces[i] for i in sorted(closure.kept)]
        self._values = frozenset(id(piece.scope) for piece in pieces if piece.computes and piece.index not in own)
        self._scopes = [piece.scope for piece in pieces]
        if apart is not None:
            self._scopes.append(apart)
        self._memo: dict[tuple[int, str], frozenset[str]] = {}
        self._imports: dict[str, set[str]] = {}
        self._aliases: dict[str, list[Chain]] = {}
        for scope in self._scopes:
            for bound, dotted in scope.imports.items():
                self._imports.setdefault(bound, set()).update(dotted)
            for bound, chains in scope.aliases.items():
                self._aliases.setdefault(bound, []).extend(chains)
        self._stars = sorted({m for scope in self._scopes for m in scope.stars})
        self._unresolved = closure.unresolved

    def uses(self) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        index = self._program.binding(self._head)
        if index is not None:  # `from other import f` is the answer and reads nothing itself
            line = self._program.pieces[index].node.lineno
            found += [(".".join((root, *self._tail)), line) for root in self._roots(self._head, None)]
        for top in self._scopes:
            value = id(top) in self._values
            for scope in top.everything():
                for chain in scope.chains:
                    if value and chain.called and not scope.later:
                        continue
                    found += [(dotted, chain.line) for dotted in self._meanings(chain, scope)]
        return found

    def _meanings(self, chain: Chain, scope: Scope) -> set[str]:
        """Dotted library names that a chain may stand for."""
        owner = scope.owner(chain)
        return {".".join((root, *chain.tail)) for root in self._roots(chain.root, owner)}

    def _roots(self, name: str, owner: Scope | None) -> frozenset[str]:
        """What a name stands for where `owner` binds it, following aliases with a list of things to do."""
        if (id(owner), name) in self._memo:
            return self._memo[id(owner), name]
        done: set[str] = set()
        seen: set[tuple[int, str, tuple[str, ...]]] = set()
        todo: list[tuple[Scope | None, str, tuple[str, ...]]] = [(owner, name, ())]
        while todo and len(seen) < _MAX_MEANINGS:
            where, root, tail = todo.pop()
            if (id(where), root, tail) in seen:
                continue
            seen.add((id(where), root, tail))
            if root.endswith("."):
                done.add(".".join((root[:-1], *tail)))
                continue
            imports = self._imports if where is None else where.imports
            aliases = self._aliases if where is None else where.aliases
            done |= {".".join((dotted.lstrip("."), *tail)) for dotted in imports.get(root, ())}
            if where is None and root in self._unresolved:
                done |= {".".join((module, root, *tail)) for module in self._stars[:3]}
            for alias in aliases.get(root, ())[:_MAX_MEANINGS]:
                bound_in = None if where is None else where.owner(alias)
                todo.append((bound_in, alias.root, alias.tail + tail))
        found = frozenset(done)
        self._memo[id(owner), name] = found
        return found


def methods_reached(lookup: Lookup, head: str, method: str) -> list[Function]:
    """The method asked for and those of the same class that it reaches through self."""
    found = lookup.resolve(head)
    if found is None or found[0] is not lookup.program or not isinstance(found[1], ast.ClassDef):
        return []
    has = lookup.methods(found[1]).found
    reached: dict[str, Function] = {}
    todo = [method]
    while todo:
        name = todo.pop()
        if name in reached or name not in has:
            continue
        reached[name] = has[name][-1]
        for node in ast.walk(reached[name]):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                todo.append(node.attr)
    return list(reached.values())
