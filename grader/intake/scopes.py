"""Which names a piece of code binds and which it reads, when, and through which aliases.

Python decides the scope of a name from the whole function it stands in, so a scope is collected completely before
its reads are resolved. Trees are walked with a stack of our own: hostile code is nested as deeply as the parser
allows, which is deeper than Python functions may recurse.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_TYPE_PARAMETERS = frozenset({"TypeVar", "ParamSpec", "TypeVarTuple"})  # nodes of Python 3.12 and later


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """A name followed by attributes, `tf.nn.softmax`, as it is read in the code."""

    root: str
    tail: tuple[str, ...]
    line: int
    order: int
    called: bool = False  # it stands in front of parentheses


@dataclass(slots=True, eq=False)
class Scope:
    """One module piece, class body, function or comprehension. `later`: it runs when called, not when defined.

    There are thousands of scopes. Dicts stand for sets, because the garbage collector skips dicts of strings.
    """

    kind: str  # "module", "class", "function" or "comprehension"
    later: bool
    outer: Scope | None
    inner: list[Scope] = field(default_factory=list)
    bound: dict[str, int] = field(default_factory=dict)  # name -> when it is first bound, in order of the walk
    globals: dict[str, None] = field(default_factory=dict)
    nonlocals: dict[str, None] = field(default_factory=dict)
    imports: dict[str, set[str]] = field(default_factory=dict)  # name -> dotted library names
    stars: dict[str, None] = field(default_factory=dict)  # modules of `from m import *`
    modules: dict[str, None] = field(default_factory=dict)  # every module that an import names
    aliases: dict[str, list[Chain]] = field(default_factory=dict)  # `sm = tf.nn.softmax`
    chains: list[Chain] = field(default_factory=list)
    mutated: dict[str, None] = field(default_factory=dict)  # `x` of `x.a = ...` and `x[k] = ...`

    def everything(self) -> Iterator[Scope]:
        """This scope and all inside it."""
        stack = [self]
        while stack:
            scope = stack.pop()
            yield scope
            stack += scope.inner

    def owner(self, chain: Chain) -> Scope | None:
        """The scope inside this piece that binds the root of a chain read here; None: the module does."""
        if chain.root in self.globals:
            return None
        scope: Scope | None = self
        while scope is not None:
            here = scope is self
            if chain.root in scope.bound and chain.root not in scope.nonlocals and chain.root not in scope.globals:
                # functions know their locals beforehand; modules and classes fall back until the name is bound
                if scope.kind in ("function", "comprehension"):
                    return scope
                if (here or scope.kind == "module") and scope.bound[chain.root] < chain.order and not self.later:
                    return scope
                if scope.kind == "class" and here and scope.bound[chain.root] < chain.order:
                    return scope
            scope = scope.outer
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reads:
    """Names of the module that a piece reads, with the line of the first read."""

    now: dict[str, int]  # when it is defined or executed
    held: dict[str, int]  # those of `now` that are not just called there
    later: dict[str, int]  # when the functions in it are called
    globals: frozenset[str]  # bound through `global` inside a function


def scan(*nodes: ast.AST, later: bool = False) -> Scope:
    """The scope of a top-level statement, or of several nodes taken together as one."""
    root = Scope(kind="module", later=later, outer=None)
    _Walk(root).run(list(nodes))
    return root


def reads(root: Scope) -> Reads:
    """What the code of `root` needs from the rest of the module."""
    now: dict[str, int] = {}
    held: dict[str, int] = {}
    later: dict[str, int] = {}
    declared: set[str] = set()
    for scope in root.everything():
        declared |= scope.globals.keys() & scope.bound.keys()
        for chain in scope.chains:
            if scope.owner(chain) is None:
                found = later if scope.later else now
                found[chain.root] = min(chain.line, found.get(chain.root, chain.line))
                if not (scope.later or chain.called):
                    held[chain.root] = min(chain.line, held.get(chain.root, chain.line))
    return Reads(now=now, held=held, later=later, globals=frozenset(declared))


def chain_of(node: ast.AST, order: int = 0, called: bool = False) -> tuple[Chain | None, list[ast.AST]]:
    """The chain a node spells, or None; and the nodes below it that still have to be visited."""
    tail: list[str] = []
    line = getattr(node, "lineno", 1)
    while True:
        if isinstance(node, ast.Attribute):
            tail.append(node.attr)
            node = node.value
        elif (attribute := _getattr(node)) is not None and isinstance(node, ast.Call):
            tail.append(attribute)
            node = node.args[0]
        else:
            break
    if isinstance(node, ast.Name):
        return Chain(root=node.id, tail=tuple(reversed(tail)), line=line, order=order, called=called), []
    if isinstance(node, ast.Call) and (module := _imported_by_call(node)) is not None:
        # the dotted name stands as a root of its own: no identifier has a dot at its end
        root = module + "."
        return Chain(root=root, tail=tuple(reversed(tail)), line=line, order=order, called=called), [node.func]
    return None, [node]


def constant_text(node: ast.AST) -> str | None:
    """A string that is spelled out, also as a sum of literals."""
    parts: list[str] = []
    stack = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            parts.append(part.value)
        elif isinstance(part, ast.BinOp) and isinstance(part.op, ast.Add):
            stack += [part.right, part.left]
        else:
            return None
    return "".join(parts)


def _getattr(node: ast.AST) -> str | None:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr"):
        return None
    return constant_text(node.args[1]) if len(node.args) in (2, 3) and not node.keywords else None


def _imported_by_call(node: ast.Call) -> str | None:
    """The module of `__import__("m")` and `importlib.import_module("m")`."""
    if not node.args:
        return None
    called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if called not in ("__import__", "import_module"):
        return None
    name = constant_text(node.args[0])
    return name.partition(".")[0] if name is not None and called == "__import__" else name


class _Walk:
    """One pass over a tree that fills scopes."""

    def __init__(self, root: Scope) -> None:
        self._root = root
        self._order = 0
        self._callees: set[int] = set()  # ids of nodes that are called

    def run(self, nodes: list[ast.AST]) -> None:
        stack: list[tuple[ast.AST, Scope]] = [(node, self._root) for node in reversed(nodes)]
        while stack:
            node, scope = stack.pop()
            self._order += 1
            stack += [(child, where) for child, where in reversed(self._visit(node, scope)) if child is not None]

    def _visit(self, node: ast.AST, scope: Scope) -> list[tuple[ast.AST, Scope]]:
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                self._chain(node, scope)
            else:
                self._name(node, scope)
            return []
        if isinstance(node, ast.Attribute | ast.Call) and not isinstance(
            getattr(node, "ctx", None), ast.Store | ast.Del
        ):
            return self._chain(node, scope)
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            self._mutation(node, scope)
        elif isinstance(node, _FUNCTIONS):
            return self._function(node, scope)
        elif isinstance(node, ast.ClassDef):
            return self._class(node, scope)
        elif isinstance(node, _COMPREHENSIONS):
            return self._comprehension(node, scope)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            return self._assignment(node, scope)
        elif isinstance(node, ast.For | ast.AsyncFor):
            return [(n, scope) for n in (node.iter, node.target, *node.body, *node.orelse)]
        else:
            self._declaration(node, scope)
        return [(child, scope) for child in ast.iter_child_nodes(node)]

    def _bind(self, name: str, scope: Scope) -> None:
        scope.bound.setdefault(name, self._order)

    def _name(self, node: ast.Name, scope: Scope) -> None:
        # deleting at top level leaves the earlier binding alone: what is dropped from the slice is not missed
        if isinstance(node.ctx, ast.Store) or scope.kind == "function":
            self._bind(node.id, scope)

    def _chain(self, node: ast.AST, scope: Scope) -> list[tuple[ast.AST, Scope]]:
        chain, rest = chain_of(node, self._order, id(node) in self._callees)
        if chain is not None:
            scope.chains.append(chain)
        elif rest == [node]:
            if isinstance(node, ast.Call):
                self._callees.add(id(node.func))
            return [(child, scope) for child in ast.iter_child_nodes(node)]
        return [(child, scope) for child in rest]

    def _mutation(self, node: ast.Attribute | ast.Subscript, scope: Scope) -> None:
        base: ast.AST = node
        while isinstance(base, ast.Attribute | ast.Subscript):
            base = base.value
        if isinstance(base, ast.Name):
            scope.mutated[base.id] = None

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Scope
    ) -> list[tuple[ast.AST, Scope]]:
        args = node.args
        parameters = [*args.posonlyargs, *args.args, *args.kwonlyargs]
        parameters += [a for a in (args.vararg, args.kwarg) if a is not None]
        outside: list[ast.AST] = [*args.defaults, *(d for d in args.kw_defaults if d is not None)]
        inner = Scope(kind="function", later=True, outer=scope)
        scope.inner.append(inner)
        for parameter in parameters:
            self._bind(parameter.arg, inner)
            if parameter.annotation is not None:
                outside.append(parameter.annotation)
        if isinstance(node, ast.Lambda):
            body: list[ast.AST] = [node.body]
        else:
            body = [*getattr(node, "type_params", []), *node.body]
            outside = [*node.decorator_list, *outside, *([] if node.returns is None else [node.returns])]
            self._bind(node.name, scope)
        return [(n, scope) for n in outside] + [(n, inner) for n in body]

    def _class(self, node: ast.ClassDef, scope: Scope) -> list[tuple[ast.AST, Scope]]:
        inner = Scope(kind="class", later=scope.later, outer=scope)
        scope.inner.append(inner)
        self._bind(node.name, scope)
        outside: list[ast.AST] = [*node.decorator_list, *node.bases, *(k.value for k in node.keywords)]
        body: list[ast.AST] = [*getattr(node, "type_params", []), *node.body]
        return [(n, scope) for n in outside] + [(n, inner) for n in body]

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp, scope: Scope
    ) -> list[tuple[ast.AST, Scope]]:
        inner = Scope(kind="comprehension", later=scope.later, outer=scope)
        scope.inner.append(inner)
        first, *others = node.generators
        inside: list[ast.AST] = [first.target, *first.ifs]
        for generator in others:
            inside += [generator.iter, generator.target, *generator.ifs]
        inside += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        return [(first.iter, scope)] + [(n, inner) for n in inside]

    def _assignment(
        self, node: ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr, scope: Scope
    ) -> list[tuple[ast.AST, Scope]]:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        where = scope
        if isinstance(node, ast.NamedExpr):
            while where.kind == "comprehension" and where.outer is not None:
                where = where.outer
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            chain = Chain(root=node.target.id, tail=(), line=node.lineno, order=self._order)
            scope.chains.append(chain)
        elif node.value is not None:
            alias, _ = chain_of(node.value, self._order)
            for target in targets:
                if alias is not None and isinstance(target, ast.Name):
                    where.aliases.setdefault(target.id, []).append(alias)
        annotation = [(node.annotation, scope)] if isinstance(node, ast.AnnAssign) else []
        if node.value is None and where.kind != "function" and isinstance(targets[0], ast.Name):
            return [*annotation]  # `x: int` declares and binds nothing
        value = [] if node.value is None else [(node.value, scope)]
        return [*annotation, *value, *((t, where) for t in targets)]

    def _declaration(self, node: ast.AST, scope: Scope) -> None:
        """Statements and patterns that bind names which are not Name nodes."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                self._bind(name, scope)
                scope.modules[alias.name] = None
                scope.imports.setdefault(name, set()).add(alias.name if alias.asname else name)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            scope.modules[module] = None
            for alias in node.names:
                if alias.name == "*":
                    scope.stars[module] = None
                    continue
                name = alias.asname or alias.name
                self._bind(name, scope)
                scope.imports.setdefault(name, set()).add(f"{module}.{alias.name}")
        elif isinstance(node, ast.Global):
            scope.globals.update(dict.fromkeys(node.names))
        elif isinstance(node, ast.Nonlocal):
            scope.nonlocals.update(dict.fromkeys(node.names))
        elif isinstance(node, ast.MatchMapping):
            if node.rest is not None:
                self._bind(node.rest, scope)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) or (
            type(node).__name__ in _TYPE_PARAMETERS
        ):
            named: str | None = getattr(node, "name", None)
            if named:
                self._bind(named, scope)
