"""Functions that read the notebook's data instead of what they are given.

Such a function passes the student's own check, which calls it with those very data, and fails with any other. What
is not certain is not said: settings, functions and objects that hold no data of the notebook are left alone.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from grader.intake.asked import Function, Lookup
from grader.intake.library_use import methods_reached
from grader.intake.pieces import Kind, statements
from grader.intake.program import BUILTINS, Program
from grader.intake.scopes import Reads, chain_of, reads, scan
from grader.intake.source import Source, listed
from grader.reports import Text

_Assignment = ast.Assign | ast.AnnAssign | ast.AugAssign
_MAX_STEPS: Final = 20_000  # expressions looked at in one file; about what lies beyond nothing is said
_READS_FILES: Final = frozenset({"open", "input", "eval", "exec", "__import__"})
_SETTINGS: Final = frozenset(
    {"device", "dtype", "finfo", "iinfo", "floatx", "get_default_dtype", "is_available", "default_rng", "epsilon"}
    | {"float16", "float32", "float64", "int32", "int64", "bool_", "constant", "array", "asarray", "cast"}
    | {"convert_to_tensor", "as_tensor", "tensor", "sqrt", "log", "exp", "get_logger", "getLogger", "Path"}
)
_HOLDS_DATA: Final = frozenset({"Variable", "Tensor", "Parameter", "FloatTensor", "DoubleTensor", "DataLoader"})


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Code:
    """A function or method under the name it is known by, and the module names it reads when it is called."""

    name: str
    node: ast.AST
    reads: Mapping[str, int]
    owner: ast.ClassDef | None = None


def leaks(lookup: Lookup, source: Source, asked: Sequence[str]) -> dict[str, Text]:
    """Asked name -> which of the notebook's own values it reads, for those that do."""
    found: dict[str, Text] = {}
    values = _Values(lookup.program)
    for name in asked:
        if (leak := _first_leak(lookup, values, name)) is not None:
            code, read, at = leak
            text = _sentence(lookup, code, read, source.origins[at.lineno - 1].say())
            if code.name != name:
                text = Text(en=f"{name} relies on {code.name}.", zh=f"{name} 用到了 {code.name}。") + text
            found[name] = text
    return found


def _first_leak(lookup: Lookup, values: _Values, name: str) -> tuple[_Code, str, ast.stmt] | None:
    """The code that leaks, what it reads and the assignment, looked for in the answer before what it calls."""
    todo = deque(_answer(lookup, name))
    seen: set[int] = set()
    followed: set[str] = set()
    while todo:
        code = todo.popleft()
        if id(code.node) in seen:
            continue
        seen.add(id(code.node))
        unused: list[str] | None = None
        ordered = sorted(code.reads.items(), key=lambda item: (item[1], item[0]))
        for read, _ in ordered:
            at = values.data(read)
            if at is None:
                continue
            if values.is_instance(at):  # a layer made once for all is no leak unless something else was given
                unused = _unused(code) if unused is None else unused
                if not unused:
                    continue
            return code, read, at
        for read, _ in ordered:
            if read not in followed:
                followed.add(read)
                todo += _behind(lookup.program, values, read)
    return None


def _answer(lookup: Lookup, name: str) -> Iterator[_Code]:
    head, _, method = name.partition(".")
    found = lookup.resolve(head)
    if found is None or found[0] is not lookup.program:
        return
    node = found[1]
    if isinstance(node, ast.ClassDef):
        for function in methods_reached(lookup, head, method or "__init__"):
            yield _Code(name=f"{head}.{function.name}", node=function, reads=_later(function), owner=node)
    elif isinstance(node, Function | ast.Assign | ast.AnnAssign) and not method:
        yield _function(head, node, reads(scan(node)))


def _behind(program: Program, values: _Values, name: str) -> Iterator[_Code]:
    """The functions that calling `name` may run."""
    found = values.bound_by(name)
    if found is None:
        return
    index, node = found
    if isinstance(node, ast.ClassDef):
        for statement in node.body:
            if isinstance(statement, Function):
                yield _Code(name=f"{name}.{statement.name}", node=statement, reads=_later(statement), owner=node)
    elif isinstance(node, Function | ast.Assign | ast.AnnAssign):
        piece = program.pieces[index]
        yield _function(name, node, piece.reads if piece.node is node else reads(scan(node)))


def _function(name: str, node: Function | ast.Assign | ast.AnnAssign, found: Reads) -> _Code:
    if isinstance(node, Function):
        return _Code(name=name, node=node, reads=found.later)
    # an alias, a lambda or a wrapped function: what it is made of is as good as called
    given = node.value.args if isinstance(node.value, ast.Call) else []
    made_of = [part for part in (node.value, *given) if isinstance(part, ast.Lambda)]
    return _Code(name=name, node=made_of[0] if made_of else node, reads={**found.now, **found.later})


def _later(function: Function) -> Mapping[str, int]:
    return reads(scan(function)).later


class _Values:
    """Tells data of the notebook from settings, functions and modules among the names of a program."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._steps = 0
        self._known: dict[str, ast.stmt | None] = {}
        self._blocks: dict[int, dict[str, ast.stmt]] = {}  # piece -> name -> the statement that binds it last
        self._parts: dict[int, dict[str, ast.expr]] = {}  # id of an assignment -> name -> the value it gets

    def data(self, name: str) -> ast.stmt | None:
        """The assignment that gives `name` its value in the end, unless that is a setting or no assignment."""
        if name not in self._known:
            at = self.bound_by(name)
            leaks = at is not None and isinstance(at[1], _Assignment) and not self._is_setting(name, *at)
            self._known[name] = at[1] if leaks and at is not None else None
        return self._known[name]

    def is_instance(self, node: ast.stmt) -> bool:
        """Whether the value is an object of a class of the file: a layer or a model, made once for all."""
        value = getattr(node, "value", None)
        chain = chain_of(value.func)[0] if isinstance(value, ast.Call) else None
        at = None if chain is None or chain.tail else self.bound_by(chain.root)
        return at is not None and isinstance(at[1], ast.ClassDef)

    def bound_by(self, name: str, before: int | None = None) -> tuple[int, ast.stmt] | None:
        """The last statement that binds a name, and its piece; None for loop variables and the like."""
        index = self._program.binding(name, before)
        if index is None:
            return None
        piece = self._program.pieces[index]
        if piece.kind in (Kind.ASSIGNMENT, Kind.DEFINITION, Kind.IMPORT):
            return index, piece.node
        if index not in self._blocks:
            self._blocks[index] = dict(_binders(piece.node))
        found = self._blocks[index].get(name)
        return None if found is None else (index, found)

    def _is_setting(self, name: str, index: int, node: ast.stmt) -> bool:
        """Whether a value is made of literals, settings, functions and modules only."""
        todo: list[tuple[ast.AST, int]] = []
        seen = {(name, index)}
        self._add(todo, name, index, node)
        while todo and self._steps < _MAX_STEPS:
            self._steps += 1
            value, here = todo.pop()
            match value:
                case ast.Name(id=read):
                    if (at := self.bound_by(read, here)) is not None and (read, at[0]) not in seen:
                        seen.add((read, at[0]))
                        self._add(todo, read, *at)
                case ast.Call():
                    if not self._sets_up(value, here):
                        return False
                    todo += [(part, here) for part in (*value.args, *(k.value for k in value.keywords))]
                case ast.Lambda():
                    pass
                case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp() | ast.Await():
                    return False
                case _:
                    todo += [(part, here) for part in ast.iter_child_nodes(value)]
        return True

    def _add(self, todo: list[tuple[ast.AST, int]], name: str, index: int, node: ast.stmt) -> None:
        """Puts the value that an assignment gives `name` on the list; other statements are no data."""
        if not isinstance(node, _Assignment) or node.value is None:
            return
        # names of the same block may be set above in it
        here = index + 1 if self._program.pieces[index].conditional else index
        if isinstance(node, ast.AugAssign):  # what it was before counts too
            todo.append((ast.Name(id=name, ctx=ast.Load()), index))
        if id(node) not in self._parts:
            self._parts[id(node)] = dict(_parts(node))
        todo.append((self._parts[id(node)].get(name, node.value), here))

    def _sets_up(self, call: ast.Call, here: int) -> bool:
        """Whether a call makes a function, an object of a library or a number of a kind, given settings only."""
        called: ast.expr = call.func
        while isinstance(called, ast.Call):  # tf.function(jit_compile=True)(f)
            called = called.func
        chain, _ = chain_of(called)
        if chain is None:
            return False
        at = self.bound_by(chain.root, here)
        if at is None and not chain.tail and chain.root in BUILTINS:
            return chain.root not in _READS_FILES
        # what nothing binds may come from a star import
        if not (self._program.stars if at is None else isinstance(at[1], ast.Import | ast.ImportFrom)):
            return False
        last = (chain.root, *chain.tail)[-1]
        if call.args and self._is_function(call.args[0], here):
            return True
        if last in _SETTINGS:
            return not any(isinstance(part, ast.List | ast.Tuple) for part in call.args)
        return last[:1].isupper() and last not in _HOLDS_DATA and "datasets" not in (chain.root, *chain.tail)

    def _is_function(self, value: ast.expr, here: int) -> bool:
        if isinstance(value, ast.Lambda):
            return True
        chain, _ = chain_of(value)
        at = None if chain is None else self.bound_by(chain.root, here)
        if chain is None or at is None:
            return False
        return isinstance(at[1], Function | ast.ClassDef) or (
            bool(chain.tail) and isinstance(at[1], ast.Import | ast.ImportFrom)
        )


def _binders(block: ast.stmt) -> Iterator[tuple[str, ast.stmt]]:
    """Names and the statements of a block that bind them, in order: definitions, imports and assignments."""
    for node in statements(block):
        if isinstance(node, Function | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0], node
        elif isinstance(node, _Assignment):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                for part in ast.walk(target):
                    if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                        yield part.id, node


def _parts(node: _Assignment) -> Iterator[tuple[str, ast.expr]]:
    """Which part of the right-hand side each name gets: of `n, x = 1, load()` it is 1 for n."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    todo = [(target, node.value) for target in targets if node.value is not None]
    while todo:
        target, value = todo.pop()
        if isinstance(target, ast.Name):
            yield target.id, value
        elif isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
            plain = not any(isinstance(part, ast.Starred) for part in (*target.elts, *value.elts))
            if plain and len(target.elts) == len(value.elts):
                todo += zip(target.elts, value.elts, strict=True)


def _parameters(code: _Code) -> list[str]:
    """The names of what the code is given, without self."""
    if not isinstance(code.node, Function | ast.Lambda):
        return []
    args = code.node.args
    given = [*args.posonlyargs, *args.args]
    static = isinstance(code.node, Function) and any(
        isinstance(d, ast.Name) and d.id == "staticmethod" for d in code.node.decorator_list
    )
    given = given[1:] if code.owner is not None and not static else given
    return [a.arg for a in (*given, args.vararg, *args.kwonlyargs, args.kwarg) if a is not None]


def _unused(code: _Code) -> list[str]:
    """Parameters that the code never looks at."""
    if not isinstance(code.node, Function | ast.Lambda):
        return []
    used: set[str] = set()
    for scope in scan(code.node).everything():
        used |= {chain.root for chain in scope.chains if scope.owner(chain) is not None}
    return [name for name in _parameters(code) if name not in used]


def _sentence(lookup: Lookup, code: _Code, read: str, at: Text) -> Text:
    gap = " " if at.zh[:1].isascii() else ""
    en = f"{code.name} reads {read}, which {at.en} sets"
    zh = f"{code.name} 读取的是{gap}{at.zh}赋值的 {read}"
    unused, parameters = _unused(code), _parameters(code)
    if not unused and code.owner is not None and isinstance(code.node, Function):
        methods = lookup.methods(code.owner)
        if code.node.name not in ("forward", "__init__") and "forward" in methods.names:
            # the sheet's layers keep what they need in self.mem; a model may have attributes of its own
            own = {name for name in methods.names if name not in methods.found}
            kept = "self.mem" if "mem" in own or not own else "self"
            return Text(
                en=f"{en}; what forward was given belongs in {kept}.",
                zh=f"{zh}；forward 收到的内容应该保存在 {kept} 里。",
            )
    shown = listed(unused or parameters, 6)
    if not parameters:
        return Text(en=f"{en}; it has no parameter to get it by.", zh=f"{zh}；它没有可以传入这个值的参数。")
    if len(unused or parameters) == 1:
        return Text(en=f"{en}, instead of its own parameter {shown.en}.", zh=f"{zh}，而不是自己的参数 {shown.zh}。")
    return Text(en=f"{en}, instead of its own parameters ({shown.en}).", zh=f"{zh}，而不是自己的参数（{shown.zh}）。")
