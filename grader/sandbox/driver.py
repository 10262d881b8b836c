"""What runs beside the student's code: reads a request, calls, answers with plain values.

There is nothing in here worth forging. This process knows no expected value, no tolerance and no score; whatever
student code does to this module only changes what the student's own answer looks like. Every object that
leaves is turned into one of the protocol's plain types first, so a lying `__eq__` or `__array__` stays behind.

A request is a list of steps [operation, slot, on, name, args, kwargs], and the reply has a value for each. Whatever a
step gives is kept under its slot, and `on` and arguments refer to it as a Handle; `on` None is the program.

    call new get set each map item put value assign parameters optimizer    on functions, classes, attributes, objects
    prepare load begin replay           args = [dictionary]; see the operations below

A reply holds plain values; what is not one stays here and travels as a Handle. This module needs the standard library,
the runtime, and wire.py.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.abc
import importlib.machinery
import random
import sys
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from grader.sandbox import parameters, warming, watching, wire
from grader.sandbox.values import (
    MAX_TYPE_NAME,
    Budget,
    Refused,
    condensed,
    handle,
    item,
    plain_array,
    scalar_key,
    stacked,
    whole_number,
)

MAX_MESSAGE, MAX_DEPTH, MAX_ITEMS = 2048, 4, 10_000


class CallFailed(Exception):
    """One of several calls of a request raised; `index` says which."""

    def __init__(self, index: int, cause: BaseException) -> None:
        super().__init__(str(index))
        self.index, self.cause = index, cause


class Siblings(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Lets `import helper` find the other files of an uploaded zip, after everything that is installed.

    It is also the loader of the main program, because inspect.getsource, and with it AutoGraph of tf.function, asks
    the loader for the text.
    """

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.sources = dict(sources)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self) if name in self.sources else None

    def get_source(self, name: str) -> str:
        return self.sources[name]

    def exec_module(self, module: types.ModuleType) -> None:
        file = module.__file__ = file_name(module.__name__)
        exec(compile(self.sources[module.__name__], file, "exec", dont_inherit=True), module.__dict__)


def file_name(stem: str) -> str:
    return f"/submission/{stem}.py"


class Driver:
    """The programs and objects of one child, and the operations on them."""

    def __init__(self, runtime: str) -> None:
        self.runtime = runtime
        self.program: Any = None
        self.objects: dict[int, Any] = {}
        self.replaying = False
        self.budget = Budget()
        self.used: set[str] = set()
        self.watched: set[str] = set()
        self.watched_ops: set[str] = set()
        self.files: set[str] = set()
        self.framework: Any = sys.modules.get(runtime) if runtime != "numpy" else None

    def step(self, step: list[Any]) -> wire.Value:
        operation, slot, on, name, args, kwargs = step
        if operation in ("load", "begin", "replay", "prepare"):
            return getattr(self, operation)(**args[0])
        if len(self.objects) >= MAX_ITEMS:
            raise Refused(f"more than {MAX_ITEMS} objects were made")
        result = self.operate(operation, on, name, args, kwargs)
        self.objects[slot] = result
        if operation in ("new", "put", "optimizer"):
            return handle(slot, result)
        if operation == "each":
            return [self.plain(item) for item in result]
        if operation == "map":
            return stacked([self.plain(item) for item in result])
        return self.plain(result, slot)

    def operate(self, operation: str, on: wire.Handle | None, name: str, args: Any, kwargs: Any) -> Any:
        if operation == "put":
            return self.native(args[0])
        if operation == "item":
            return item(self.find(on, ""), *args)
        if operation == "set":
            return setattr(self.find(on, ""), name, self.native(args[0]))
        if operation == "assign":
            return parameters.assign(self.find(on, ""), name, args[0])
        if operation == "parameters":
            return parameters.values(self.find(on, ""))
        if operation == "optimizer":
            return parameters.optimizer(self.find(on, ""), name, self.native(kwargs))
        try:
            thing = self.find(on, name)
        except AttributeError:
            if operation != "get" or on is None or "." not in name:
                raise
            return parameters.read(self.find(on, ""), name)
        if operation in ("get", "value"):
            return thing
        if operation in ("each", "map"):
            results = []
            for index, row in enumerate(args if operation == "each" else zip(*args, strict=True)):
                try:
                    results.append(thing(*self.native(row)))
                except BaseException as error:
                    raise CallFailed(index, error) from None
            return results
        return thing(*self.native(args), **self.native(kwargs))

    # Operations of the grader itself ---------------------------------------------------------------------------

    def prepare(self, watch: list[str], ops: list[str]) -> None:
        """Begins to notice calls of library functions and op types; costs some ms, so it is done while parked."""
        watching.watch_calls([name for name in watch if name not in self.watched], self.used)
        self.watched.update(watch)
        if ops and self.runtime == "tensorflow":
            if not self.watched_ops:
                watching.watch_tensorflow_ops(self.watched_ops, self.used)
            self.watched_ops.update(ops)

    def load(
        self, source: str, file: str, modules: dict[str, str], watch: list[str], ops: list[str], seed: int
    ) -> wire.Value:
        """Runs the program statement by statement, so that one that fails leaves the others their chance."""
        self.begin(seed)
        self.prepare(watch, ops)
        if modules:
            sys.meta_path.append(Siblings(modules))
            self.files.update(file_name(stem) for stem in modules)
        module = self.program = types.ModuleType(file)
        module.__file__ = file_name(file)
        module.__loader__ = Siblings({file: source})
        sys.modules[file] = module
        self.files.add(module.__file__)
        failed = self.execute(source, module)
        names = [name for name in vars(module) if not name.startswith("__")]
        return {"names": names[:1000], "failed": failed[:50]}

    def execute(self, source: str, module: types.ModuleType) -> list[dict[str, Any]]:
        file = str(module.__file__)
        flags = 0
        failed: list[dict[str, Any]] = []
        for node in ast.parse(source, file).body:
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                import __future__

                for alias in node.names:
                    flags |= getattr(__future__, alias.name).compiler_flag
            try:
                code = compile(ast.Module([node], []), file, "exec", flags=flags, dont_inherit=True)
                exec(code, module.__dict__)
            except BaseException as error:
                failed.append({**self.failure(error), "line": node.lineno, "binds": bound_names(node)})
        return failed

    def begin(self, seed: int) -> None:
        """Between checks: forgets every object but the program, and makes random numbers repeatable."""
        self.objects.clear()
        random.seed(seed)
        np.random.seed(seed % 2**32)
        if self.runtime == "tensorflow":
            warming.seed_tensorflow(seed)
        elif self.runtime == "torch":
            self.framework.manual_seed(seed)

    def replay(self, programs: list[str], scripts: list[list[Any]], seeds: list[int]) -> wire.Value:
        """Runs recorded steps on other programs, each freshly loaded: [[results of a script] of a program].

        seeds: one a script, of random numbers, as they were when the steps were recorded.

        Only the child of a reference is asked this; the programs are an author's known mistakes.
        """
        solution, answers = self.program, []
        self.replaying = True
        eagerly = warming.functions_run_eagerly() if self.runtime == "tensorflow" else contextlib.nullcontext()
        try:
            with eagerly:
                for source in programs:
                    answers.append([self.script(*pair, source) for pair in zip(scripts, seeds, strict=True)])
        finally:
            self.program, self.replaying = solution, False
            self.objects.clear()
        return answers

    def script(self, steps: list[Any], seed: int, source: str) -> list[Any]:
        """["ok", value] or ["error", failure] a step; after an error the rest is not run."""
        self.program = types.ModuleType("mistake")
        for code in compiled(source):
            exec(code, self.program.__dict__)
        self.begin(seed)
        self.budget = Budget()
        results: list[Any] = []
        for step in steps:
            try:
                results.append(["ok", condensed(self.step(step))])
            except BaseException as error:
                results.append(["error", self.failure(error)])
                break
        return results

    # Values ---------------------------------------------------------------------------------------------------

    def find(self, on: wire.Handle | None, name: str) -> Any:
        thing: Any = self.program if on is None else self.objects[on.id]
        for part in name.split("."):
            if part:
                thing = getattr(thing, part)
        return thing

    def native(self, value: wire.Value) -> Any:
        """A value of the protocol as the object that the student's function should see."""
        if isinstance(value, wire.Handle):
            return self.objects[value.id]
        if isinstance(value, wire.Tensor):
            if self.runtime == "tensorflow":
                return self.framework.convert_to_tensor(value.array)
            return self.framework.from_numpy(value.array) if self.runtime == "torch" else value.array
        if isinstance(value, (list, tuple)):
            return type(value)(self.native(item) for item in value)
        if isinstance(value, dict):
            return {key: self.native(item) for key, item in value.items()}
        if self.replaying and type(value) is np.ndarray:
            return value.copy()  # one program may change its input in place, the next must not see that
        return value

    def plain(self, thing: Any, slot: int = 0, depth: int = 0) -> wire.Value:
        """An object as a value of the protocol; what is not one travels as a Handle of its slot, 0 if it has none."""
        kind = type(thing)
        self.budget.take()
        if thing is None or kind in (bool, float):
            return thing
        if isinstance(thing, bytes):
            return self.bounded(bytes(thing))
        if isinstance(thing, int):
            return bool(thing) if kind is bool else whole_number(thing)
        if isinstance(thing, float):
            return float.__float__(thing)
        if isinstance(thing, str):
            return self.text(str.__str__(thing))
        if isinstance(thing, (np.ndarray, np.generic)):
            return self.array(np.asarray(thing))
        if isinstance(thing, (list, tuple, dict)):
            if depth >= MAX_DEPTH:
                raise Refused(f"the result is nested deeper than {MAX_DEPTH} levels")
            if len(thing) > MAX_ITEMS:
                raise Refused(f"the result is a {kind.__name__} of more than {MAX_ITEMS:,} items; return an array")
            if isinstance(thing, dict):
                return {scalar_key(key): self.plain(item, 0, depth + 1) for key, item in dict.items(thing)}
            items = [self.plain(item, 0, depth + 1) for item in thing]
            return items if isinstance(thing, list) else tuple(items)
        tensor = self.tensor(thing)
        return handle(slot, thing) if tensor is None else tensor

    def text(self, value: str) -> str:
        if len(value.encode("utf-8", "replace")) > wire.DEFAULT_LIMITS.max_str:
            raise Refused(f"the result is a text of more than {wire.DEFAULT_LIMITS.max_str >> 10} KiB")
        return str(self.bounded(value))

    def bounded(self, value: Any) -> Any:
        self.budget.take(len(value))
        return value

    def array(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        self.budget.take(array.nbytes)
        return plain_array(array).copy()  # as it is now: a later step of the same frame may change it in place

    def tensor(self, thing: Any) -> wire.Tensor | None:
        if self.runtime == "tensorflow":
            tf = self.framework
            if isinstance(thing, tf.IndexedSlices):
                thing = tf.convert_to_tensor(thing)
            if isinstance(thing, tf.keras.Variable):
                thing = thing.value
            if isinstance(thing, (tf.Tensor, tf.Variable)):
                if not hasattr(thing, "numpy"):
                    raise Refused("the result is a symbolic tensor without a value; return an eager tensor")
                return wire.Tensor("tensorflow", self.array(np.asarray(thing.numpy())))
        elif self.runtime == "torch" and isinstance(thing, self.framework.Tensor):
            if thing.is_sparse:
                thing = thing.to_dense()
            return wire.Tensor("torch", self.array(thing.detach().resolve_conj().resolve_neg().cpu().numpy()))
        return None

    def failure(self, error: BaseException) -> dict[str, Any]:
        """What is told of an exception: type, bounded message, and the student's own lines, innermost last."""
        index = None
        if isinstance(error, CallFailed):
            index, error = error.index, error.cause
        lines = []
        trace = error.__traceback__
        while trace is not None:
            name = trace.tb_frame.f_code.co_filename
            if name in self.files:
                lines.append([name.rpartition("/")[2].removesuffix(".py"), trace.tb_lineno])
            trace = trace.tb_next
        if isinstance(error, SyntaxError) and error.filename in self.files:
            lines.append([str(error.filename).rpartition("/")[2].removesuffix(".py"), error.lineno or 1])
        try:
            message = str(error)
        except BaseException as second:
            message = f"(its message raised {type(second).__name__})"
        return {
            "type": type(error).__name__[:MAX_TYPE_NAME],
            "message": message[:MAX_MESSAGE],
            "lines": lines[-20:],
            "index": index,
            "refused": isinstance(error, Refused),
        }


@functools.cache
def compiled(source: str) -> list[Any]:
    """The statements of a program as code, kept: a mistake is replayed for many submissions."""
    tree = ast.parse(source)
    return [compile(ast.Module([node], []), file_name("mistake"), "exec", dont_inherit=True) for node in tree.body]


def bound_names(node: ast.stmt) -> list[str]:
    """Names that a top-level statement would have bound, to explain a later NameError."""
    names: list[str] = []
    for inner in ast.walk(node):
        if isinstance(inner, (ast.Import, ast.ImportFrom)):
            names += [(alias.asname or alias.name).split(".")[0] for alias in inner.names]
        elif isinstance(inner, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
            names.append(inner.name)
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            names.append(inner.id)
    return names[:50]
