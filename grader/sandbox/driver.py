"""What runs beside the student's code: reads a request, calls, answers with plain values.

There is nothing in here worth forging. This process knows no expected value, no tolerance and no score; whatever
student code does to this module only changes what the student's own answer looks like. Every object that
leaves is turned into one of the protocol's plain types first, so a lying `__eq__` or `__array__` stays behind.

A request is a list of steps [operation, slot, on, name, args, kwargs], and the reply has a value for each. Whatever a
step gives is kept under its slot, and `on` and arguments refer to it as a Handle; `on` None is the program.

    call new get set each map item put value    on functions, classes, attributes, objects
    prepare load begin replay           args = [dictionary]; see the operations below

A reply holds plain values; what is not one stays here and travels as a Handle. This module needs the standard library,
the runtime, and wire.py.
"""

from __future__ import annotations

import ast
import ctypes
import functools
import importlib.abc
import importlib.machinery
import io
import os
import random
import sys
import types
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from grader.sandbox import wire

_PR_SET_NAME = 15
MAX_TYPE_NAME, MAX_MESSAGE, MAX_DEPTH, MAX_ITEMS = 100, 2048, 4, 10_000
# A sheet that asks for NumPy must not be answered with another library's gradients.
ABSENT: Mapping[str, tuple[str, ...]] = {
    "numpy": ("tensorflow", "keras", "torch", "jax", "autograd"),
    "tensorflow": ("torch", "jax", "autograd"),
    "torch": ("tensorflow", "keras", "jax", "autograd"),
}


def run(job_read: int, job_write: int, runtime: str) -> None:
    """Warms the runtime up, says READY, serves requests until BYE or the end of the pipe."""
    stream = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8", errors="backslashreplace")
    sys.stdout = sys.stderr = stream
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.meta_path.insert(0, Absent(ABSENT[runtime]))
    warnings.simplefilter("ignore")
    warm(runtime)
    driver = Driver(runtime)
    _write(job_write, wire.frame(wire.READY, 0, wire.encode(None)))
    while True:
        kind, call_id, length = wire.parse_header(_read(job_read, wire.HEADER_BYTES))
        steps = wire.decode(_read(job_read, length), wire.REQUEST_LIMITS)
        if kind == wire.BYE:
            return
        driver.used.clear()
        driver.budget = Budget()
        values: list[wire.Value] = []
        try:
            for number, step in enumerate(steps):
                announce(number)
                values.append(driver.step(step))
            payload = wire.encode({"values": values, "used": sorted(driver.used)})
            answer = wire.frame(wire.RESULT, call_id, payload)
        except BaseException as error:  # SystemExit and KeyboardInterrupt of the student are answers too
            failure = {**driver.failure(error), "values": values, "used": sorted(driver.used)}
            answer = wire.frame(wire.ERROR, call_id, wire.encode(failure))
            del error
        try:
            stream.flush()
        finally:
            _write(job_write, answer)


_libc = ctypes.CDLL(None)


def announce(number: int) -> None:
    """Writes the number of the step into the process's name, where the grader reads it when the step never ends."""
    _libc.prctl(_PR_SET_NAME, b"step %d" % number, 0, 0, 0)


def _read(fd: int, count: int) -> bytes:
    pieces: list[bytes] = []
    while count:
        piece = os.read(fd, min(count, 1 << 20))
        if not piece:
            os._exit(0)
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def warm(runtime: str) -> None:
    """First use of an operation is slow (TensorFlow builds its context and kernels): pay that while parked."""
    np.linalg.inv(np.eye(3) + 0.5)
    if runtime == "tensorflow":
        _warm_tensorflow()
    elif runtime == "torch":
        _warm_torch()


def seed_tensorflow(seed: int) -> None:
    """What tf.random.set_seed does, without throwing the compiled kernels away: that would cost 3 ms a check."""
    from tensorflow.python.eager import context

    current = context.context()
    current._seed = seed
    current._rng = random.Random(seed)


def _warm_tensorflow() -> None:
    tf: Any = sys.modules["tensorflow"]
    tf.random.set_seed(0)
    for dtype in (np.float64, np.float32):
        for shape in ((2, 3), (3,)):
            _warm_ops(tf, np.linspace(0.1, 0.9, int(np.prod(shape)), dtype=dtype).reshape(shape))
    tf.function(lambda a: tf.exp(a) + 1.0, autograph=False)(tf.constant(1.0))


def _warm_ops(tf: Any, array: np.ndarray[Any, Any]) -> None:
    """The operations that losses, activations and small networks are made of, on one dtype and rank."""
    x = tf.convert_to_tensor(array)
    with tf.GradientTape() as tape:
        tape.watch(x)
        e = tf.exp(array - tf.reduce_max(array, axis=-1, keepdims=True))
        y = e / tf.reduce_sum(e, axis=-1, keepdims=True)
        z = tf.reduce_mean(-tf.reduce_sum(array * tf.math.log(y + 1e-12), axis=-1))
    tape.gradient(z, x)
    for op in (
        tf.abs, tf.negative, tf.sign, tf.square, tf.sqrt, tf.tanh, tf.identity, tf.ones_like, tf.zeros_like, tf.shape,
        tf.math.log, tf.math.log1p, tf.math.softplus, tf.math.reduce_logsumexp, tf.nn.softmax, tf.nn.sigmoid,
        tf.nn.relu, tf.reduce_sum, tf.reduce_mean, tf.reduce_max, tf.math.is_nan, tf.transpose,
    ):  # fmt: skip
        op(x)
    for op in (tf.add, tf.subtract, tf.multiply, tf.divide, tf.maximum, tf.minimum, tf.pow, tf.equal, tf.math.xlogy):
        op(x, x)
    1 + x, 1 - x, 1 / x, -x, x > 0, x >= 0, x < 0, x[0], x[..., 0], x * array, array * x
    tf.nn.softmax_cross_entropy_with_logits(x, x)
    tf.nn.sigmoid_cross_entropy_with_logits(x, x)
    tf.where(x > 0, x, tf.zeros_like(x)) / (1 + x)
    tf.clip_by_value(x, 0.1, 0.9)
    tf.math.xlogy(1 - array, 1 - x)
    tf.cast(array, x.dtype)
    tf.cast(x, tf.float64 if x.dtype == tf.float32 else tf.float32)
    tf.constant(array)
    tf.expand_dims(x, -1)
    tf.reshape(x, [-1])
    tf.reduce_sum(x, 0)
    tf.reduce_mean(x, axis=[0])
    tf.argmax(x, axis=-1)
    if x.shape.rank == 2:
        tf.matmul(x, x, transpose_a=True)
        tf.matmul(x, tf.transpose(x))
    x.numpy()


def _warm_torch() -> None:
    torch: Any = sys.modules["torch"]
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    loss = torch.nn.functional.mse_loss(net(torch.ones(4, 2)), torch.zeros(4, 1))
    loss.backward()
    optimiser.step()


class Budget:
    """What one reply may still carry; the grader ends a child that sends more, so it is refused here, in words."""

    def __init__(self) -> None:
        self.items, self.size = wire.DEFAULT_LIMITS.max_nodes - 500, wire.DEFAULT_LIMITS.max_bytes - (1 << 20)

    def take(self, size: int = 16) -> None:
        self.items -= 1
        self.size -= size
        if self.items < 0:
            raise Refused(f"the results hold more than {wire.DEFAULT_LIMITS.max_nodes - 500:,} items; return arrays")
        if self.size < 0:
            raise Refused(f"the results are larger than {(wire.DEFAULT_LIMITS.max_bytes >> 20) - 1} MiB")


class Refused(Exception):
    """A value that cannot leave the child, with the reason in words for the student."""


class CallFailed(Exception):
    """One of several calls of a request raised; `index` says which."""

    def __init__(self, index: int, cause: BaseException) -> None:
        super().__init__(str(index))
        self.index, self.cause = index, cause


class Absent(importlib.abc.MetaPathFinder):
    """Refuses the libraries that a sheet must not be answered with, in words."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"{name} cannot be used in this assignment", name=name)


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
        if operation in ("new", "put"):
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
        thing = self.find(on, name)
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
        watch_calls([name for name in watch if name not in self.watched], self.used)
        self.watched.update(watch)
        if ops and self.runtime == "tensorflow":
            if not self.watched_ops:
                watch_tensorflow_ops(self.watched_ops, self.used)
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
            seed_tensorflow(seed)
        elif self.runtime == "torch":
            self.framework.manual_seed(seed)

    def replay(self, programs: list[str], scripts: list[list[Any]]) -> wire.Value:
        """Runs recorded steps on other programs, each freshly loaded: [[results of a script] of a program].

        Only the child of a reference is asked this; the programs are an author's known mistakes.
        """
        solution, answers = self.program, []
        self.replaying = True
        try:
            for source in programs:
                row = []
                for steps in scripts:
                    self.program = types.ModuleType("mistake")
                    for code in compiled(source):
                        exec(code, self.program.__dict__)
                    row.append(self.script(steps))
                answers.append(row)
        finally:
            self.program, self.replaying = solution, False
            self.objects.clear()
        return answers

    def script(self, steps: list[Any]) -> list[Any]:
        """["ok", value] or ["error", failure] a step; after an error the rest is not run."""
        self.objects.clear()
        self.budget = Budget()
        results: list[Any] = []
        for step in steps:
            try:
                results.append(["ok", self.step(step)])
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
            if value.framework == "tensorflow":
                return self.framework.convert_to_tensor(value.array)
            return self.framework.from_numpy(value.array)
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
        return plain_array(array)

    def tensor(self, thing: Any) -> wire.Tensor | None:
        if self.runtime == "tensorflow":
            tf = self.framework
            if isinstance(thing, tf.IndexedSlices):
                thing = tf.convert_to_tensor(thing)
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


def item(thing: Any, index: int, count: int) -> Any:
    """One part of a tuple or list that was asked for; the grader says what came instead."""
    if not isinstance(thing, (tuple, list)) or len(thing) != count:
        raise Refused(f"{count} values were asked for")
    return thing[index]


def whole_number(thing: int) -> int:
    value = int.__index__(thing)
    if value.bit_length() > 4000:
        raise Refused("the result is an integer of more than 1,200 digits")
    return value


def stacked(values: list[Any]) -> Any:
    """Arrays of one shape and dtype as one array, which travels faster than many."""
    first = values[0] if values else None
    if type(first) is not np.ndarray:
        return values
    same = all(type(v) is np.ndarray and v.shape == first.shape and v.dtype == first.dtype for v in values)
    return np.stack(values) if same else values


def handle(slot: int, thing: Any) -> wire.Handle:
    return wire.Handle(slot, type(thing).__name__[:MAX_TYPE_NAME])


def scalar_key(key: Any) -> Any:
    if type(key) in (str, int, bool, float, bytes, type(None)):
        return key
    raise Refused(f"the result is a dictionary with a key of type {type(key).__name__}")


def plain_array(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Base-class array of one of the protocol's dtypes. Raises Refused for objects, text and dates."""
    array = array.view(np.ndarray)
    kind = array.dtype.kind
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    if kind == "f" and array.dtype.itemsize > 8:
        return array.astype(np.float64)
    if kind == "c" and array.dtype.itemsize > 16:
        return array.astype(np.complex128)
    if kind == "O":
        raise Refused("the result is a NumPy array of Python objects (rows of different lengths?), not of numbers")
    if kind not in "biufc":
        raise Refused(f"the result is a NumPy array of dtype {array.dtype}, not of numbers")
    return array


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


def watch_calls(names: list[str], used: set[str]) -> None:
    """Wraps library functions so that a call of one is noticed however its name was spelt or looked up.

    A rule of style, not of safety: the child could undo it, and a name in the source or the
    operations executed then still tell.
    """
    for dotted in names:
        path, _, leaf = dotted.rpartition(".")
        root, *rest = path.split(".")
        owner: Any = sys.modules.get(root)
        for part in rest:
            owner = getattr(owner, part, None)
        original = getattr(owner, leaf, None)
        if callable(original) and not isinstance(original, types.ModuleType):
            setattr(owner, leaf, _watched(original, dotted, used))


def _watched(original: Callable[..., Any], dotted: str, used: set[str]) -> Callable[..., Any]:
    @functools.wraps(original, updated=())
    def watched(*args: Any, **kwargs: Any) -> Any:
        used.add(dotted)
        return original(*args, **kwargs)

    return watched


def watch_tensorflow_ops(ops: set[str], used: set[str]) -> None:
    """Notes which of the op types are executed, eagerly or while a tf.function is traced."""
    from tensorflow.python.framework import op_callbacks

    def note(op_type: Any, inputs: Any, attrs: Any, outputs: Any, op_name: Any = None, graph: Any = None) -> None:
        name = op_type.decode() if isinstance(op_type, bytes) else str(op_type)
        if name in ops:
            used.add(name)

    op_callbacks.add_op_callback(note)
