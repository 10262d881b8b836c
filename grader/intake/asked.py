"""Whether the names asked for are there, and whether somebody wrote anything in them."""

from __future__ import annotations

import ast
import difflib
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from grader.intake.pieces import statements
from grader.intake.program import BUILTINS, Program, names_bound
from grader.intake.scopes import scan
from grader.intake.source import listed
from grader.reports import Text

Function = ast.FunctionDef | ast.AsyncFunctionDef

# Packages a runtime may hold: what is imported from them exists, what is imported from elsewhere was not uploaded.
LIBRARIES: Final = frozenset(
    {"numpy", "tensorflow", "torch", "keras", "matplotlib", "scipy", "jax", "sklearn", "pandas"}
    | {"torchvision", "seaborn", "tqdm", "autograd", "numba"}
)
_MAX_NAMES = 300  # near matches are looked for among so many names, none longer than:
_MAX_LENGTH = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Methods:
    """What a class has. `open`: it may have more than the file shows, by an unknown base or a decorator."""

    names: tuple[str, ...]
    found: dict[str, list[Function]]  # in the order of definition
    open: bool


class Lookup:
    """Answers about the names of one program and the modules beside it."""

    def __init__(self, program: Program, modules: Mapping[str, Program], asked: Sequence[str] = ()) -> None:
        self.program = program
        self._asked = dict.fromkeys(asked)
        self._modules = modules
        self._methods: dict[int, Methods] = {}
        self._others: dict[int, Lookup] = {}

    def missing(self, name: str) -> Text | None:
        """Why an asked name does not exist, or None when it does or may."""
        head, _, method = unicodedata.normalize("NFKC", name).partition(".")
        if not self.program.binds(head):
            if any(head in names_bound(self._modules, m) for m in self._stars()):
                return None
            return self._no_name(head)
        found = self.resolve(head)
        if found is None:
            return None
        program, node = found
        if isinstance(node, ast.Import | ast.ImportFrom):
            return self._not_uploaded(head, node)
        if isinstance(node, Function):
            method = method or next((n.partition(".")[2] for n in self._asked if n.startswith(f"{head}.")), "")
        if not method or not isinstance(node, ast.ClassDef | Function):
            return None
        if not isinstance(node, ast.ClassDef):
            return Text(
                en=f"{head} is a function in your file; a class {head} with a method {method} is asked for.",
                zh=f"文件里的 {head} 是函数；题目要求的是带有 {method} 方法的类 {head}。",
            )
        methods = self.beside(program).methods(node)
        return None if methods.open or method in methods.names else _no_method(head, method, list(methods.found))

    def stub(self, name: str) -> tuple[Program, ast.stmt] | None:
        """The unfilled definition of an asked name and its program, or None when there is something in it."""
        head, _, method = unicodedata.normalize("NFKC", name).partition(".")
        found = self.resolve(head)
        if found is None:
            return None
        program, node = found
        empty: ast.stmt | None = None
        if isinstance(node, ast.ClassDef):
            lookup = self.beside(program)
            methods = lookup.methods(node).found
            outside = set(lookup._set_outside(node))
            last = {key: functions[-1] for key, functions in methods.items()}
            if method:
                empty = None if method in outside else last.get(method)
            elif not outside and _empty_class(node, list(last.values()), program):
                return program, node
        elif not method:
            empty = node
        return (program, empty) if empty is not None and _is_empty(empty, program) else None

    def resolve(self, name: str, before: int | None = None) -> tuple[Program, ast.stmt] | None:
        """The definition behind a name, through aliases, single-argument wrappers and sibling modules."""
        program = self.program
        for _ in range(20):
            definition = program.definition(name, before)
            if definition is None:
                return None
            index, node = definition
            if isinstance(node, ast.ImportFrom) and node.module is not None and node.module in self._modules:
                alias = next((a.name for a in node.names if (a.asname or a.name) == name), name)
                if not self._modules[node.module].binds(alias):
                    return program, node
                program, name, before = self._modules[node.module], alias, None
                continue
            inner = _wrapped(node)
            if inner is None:
                return program, node
            if program.definition(inner, index) is None and inner == name:
                return program, node
            name, before = inner, index
        return None

    def methods(self, node: ast.ClassDef) -> Methods:
        """Everything the class has, its bases in this file included."""
        if id(node) not in self._methods:
            self._methods[id(node)] = self._collect(node)
        return self._methods[id(node)]

    def beside(self, program: Program) -> Lookup:
        """The same questions about another program of the upload."""
        if program is self.program:
            return self
        if id(program) not in self._others:
            self._others[id(program)] = Lookup(program, self._modules)
        return self._others[id(program)]

    def _collect(self, node: ast.ClassDef) -> Methods:
        names: dict[str, None] = {}
        found: dict[str, list[Function]] = {}
        unknown = False
        todo, seen = [node], {id(node)}
        while todo:
            here = todo.pop(0)
            unknown = unknown or bool(here.decorator_list or here.keywords)
            own: dict[str, list[Function]] = {}
            for statement in (s for top in here.body for s in statements(top)):
                if isinstance(statement, Function):
                    own.setdefault(statement.name, []).append(statement)
            scope = scan(*here.body)
            names.update(dict.fromkeys(scope.bound))
            names.update(dict.fromkeys((*self._set_outside(here), *_set_through_self(here))))
            unknown = unknown or "__getattr__" in scope.bound
            found = {**own, **found}
            for base in here.bases:
                above = self.resolve(base.id, self._above(here, base.id)) if isinstance(base, ast.Name) else None
                if above is not None and isinstance(above[1], ast.ClassDef):
                    if id(above[1]) not in seen:
                        seen.add(id(above[1]))
                        todo.append(above[1])
                elif not (isinstance(base, ast.Name) and base.id == "object"):
                    unknown = True
        return Methods(names=tuple(names), found=found, open=unknown)

    def _above(self, node: ast.ClassDef, base: str) -> int | None:
        """For `class A(A)`, the piece above which the other A is to be found."""
        if base != node.name:
            return None
        where = self.program.bindings.get(base, [])
        return next((i for i in where if node in statements(self.program.pieces[i].node)), None)

    def _set_outside(self, node: ast.ClassDef) -> Iterator[str]:
        """Attributes given to the class at top level: `Matmul.forward = forward`."""
        for index in self.program.mutations.get(node.name, ()):
            for target in getattr(self.program.pieces[index].node, "targets", ()):
                if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                    yield target.attr

    def _stars(self) -> set[str]:
        return {m for index in self.program.stars for m in self.program.pieces[index].scope.stars}

    def _not_uploaded(self, name: str, node: ast.Import | ast.ImportFrom) -> Text | None:
        module = (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        root = module.partition(".")[0]
        if module in self._modules:
            return Text(
                en=f"{name} is imported from {module}.py, which does not define it.",
                zh=f"{name} 是从 {module}.py 导入的，但那个文件里没有定义它。",
            )
        if root in sys.stdlib_module_names or root in LIBRARIES:
            return None
        return Text(
            en=f"{name} is imported from {module}, which is not in the upload. Put both files into one zip.",
            zh=f"{name} 是从 {module} 导入的，但上传里没有这个文件。请把两个文件打包成一个 zip。",
        )

    def meant(self, name: str) -> str | None:
        """What the file calls the thing asked for as `name`, if that can be guessed."""
        candidates = dict.fromkeys((*self.program.defined(), *self.program.bindings))
        return near(name, [c for c in candidates if c not in self._asked])

    def _no_name(self, name: str) -> Text:
        defined = self.program.defined()
        if name in self.program.guarded:
            return Text(
                en=f'{name} is defined only under `if __name__ == "__main__"`, which is not run. Move it out of there.',
                zh=f'{name} 只定义在 `if __name__ == "__main__"` 里面，这部分不会运行。请把它移到外面。',
            )
        match = self.meant(name)
        if not defined:
            shows = Text(en="your file defines no functions or classes", zh="文件里没有定义任何函数或类")
        else:
            names = listed(defined)
            shows = Text(en=f"your file defines {names.en}", zh=f"文件里定义了 {names.zh}")
        if match is None:
            return Text(en=f"{name} is not defined; {shows.en}.", zh=f"没有找到 {name}；{shows.zh}。")
        return Text(
            en=f"{name} is not defined; {shows.en}: did you mean {match}? Rename it to {name}.",
            zh=f"没有找到 {name}；{shows.zh}。是不是写成了 {match}？请改名为 {name}。",
        )


def _set_through_self(node: ast.ClassDef) -> Iterator[str]:
    for inside in ast.walk(node):
        if not (isinstance(inside, ast.Attribute) and isinstance(inside.ctx, ast.Store)):
            continue
        if isinstance(inside.value, ast.Name) and inside.value.id == "self":
            yield inside.attr


def is_stub(function: Function, program: Program) -> bool:
    """Whether nobody wrote anything in a function: see _trivial, or it returns names that nothing binds."""
    local: dict[str, bool] = {}  # name -> whether it only holds a placeholder
    args = function.args
    for argument in [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]:
        if argument is not None:
            local[argument.arg] = False
    for statement in function.body:
        if isinstance(statement, ast.Return):
            return all(_nothing(value, local, program) for value in _returned(statement.value))
        if isinstance(statement, ast.Assign | ast.AnnAssign) and (
            statement.value is None or _empty_value(statement.value)
        ):
            for name in scan(statement).bound:
                local[name] = local.get(name, True)
        elif not _trivial(statement):
            return False
        if isinstance(statement, ast.Raise):
            return True
    return True


def _is_empty(node: ast.AST, program: Program) -> bool:
    if isinstance(node, Function):
        return is_stub(node, program)
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        return _empty_value(node.value.body if isinstance(node.value, ast.Lambda) else node.value)
    return False


def _empty_class(node: ast.ClassDef, methods: Sequence[Function], program: Program) -> bool:
    """A class is empty when all its methods are; the constructor alone does not count as an answer."""
    written = [function for function in methods if function.name != "__init__"]
    if written:
        return all(is_stub(function, program) for function in written)
    return not methods and not node.bases and all(_trivial(statement) for statement in node.body)


def near(name: str, candidates: Sequence[str]) -> str | None:
    """The candidate that was probably meant by `name`."""
    shortlist = [c for c in candidates[:_MAX_NAMES] if len(c) <= _MAX_LENGTH]
    plain = {c: c.casefold().replace("_", "") for c in shortlist}
    wanted = name.casefold().replace("_", "")
    for candidate in shortlist:
        if plain[candidate] in (wanted, f"my{wanted}", f"{wanted}s"):
            return candidate
    close = difflib.get_close_matches(wanted, list(plain.values()), n=1, cutoff=0.75)
    return next((c for c in shortlist if close and plain[c] == close[0]), None)


def _no_method(head: str, method: str, names: Sequence[str]) -> Text:
    shown = [n for n in names if not n.startswith("__")]
    if not shown:
        return Text(
            en=f"{head} has no method {method}; it defines none.", zh=f"{head} 没有 {method} 方法；它没有定义任何方法。"
        )
    them = listed(shown)
    match = near(method, shown)
    if match is None:
        return Text(
            en=f"{head} has no method {method}; it defines {them.en}.",
            zh=f"{head} 没有 {method} 方法；它定义了 {them.zh}。",
        )
    return Text(
        en=f"{head} has no method {method}; it defines {them.en}: did you mean {match}?",
        zh=f"{head} 没有 {method} 方法；它定义了 {them.zh}。是不是写成了 {match}？",
    )


def _wrapped(node: ast.AST) -> str | None:
    """`f` of `g = f` and of `g = tf.function(f)`."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return None
    value: ast.AST | None = node.value
    if isinstance(value, ast.Call) and len(value.args) == 1:
        value = value.args[0]
    return value.id if isinstance(value, ast.Name) else None


def _returned(value: ast.expr | None) -> Sequence[ast.expr]:
    if value is None:
        return ()
    return value.elts if isinstance(value, ast.Tuple | ast.List) else (value,)


def _nothing(value: ast.expr, local: Mapping[str, bool], program: Program) -> bool:
    if isinstance(value, ast.Name) and value.id not in BUILTINS:
        name = value.id
        known = program.binds(name) or name in program.globals or name in program.guarded or bool(program.stars)
        return local.get(name, not known)
    return _empty_value(value)


def _empty_value(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and (value.value is None or value.value is Ellipsis)


def _trivial(statement: ast.stmt) -> bool:
    """Docstrings, pass, `...`, `raise NotImplementedError` and declarations."""
    if isinstance(statement, ast.Raise):
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return isinstance(raised, ast.Name) and raised.id in ("NotImplementedError", "NotImplemented")
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Pass | ast.Global | ast.Nonlocal)
