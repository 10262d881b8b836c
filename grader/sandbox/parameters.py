"""The parameters of a student's model, whatever it is made of: NumPy arrays, tf.Variable, Keras layers, torch modules.

Runs beside the student's code, so nothing here is a verdict: it only reads and sets what the grader asks for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from grader.sandbox.values import Refused

MOST_PARAMETERS, MAX_DEPTH = 60, 4


def _library(name: str) -> Any:
    """A library that this process has imported, None otherwise. A stand-in (substitutes.py) has no file and is none."""
    module = sys.modules.get(name)
    return module if getattr(module, "__file__", None) else None


def assign(model: Any, name: str, value: np.ndarray[Any, Any]) -> None:
    """Sets model.name ("W1", "layer1.weight", a name of `values`) in place where that is possible.

    value: array of its shape; it gets the dtype that the student chose. What else holds the same array sees it too,
    as it would in the student's own program. Raises Refused for another shape, AttributeError when it is not there.
    """
    owner = model
    leaf, listed = name.rpartition(".")[2], None
    try:
        for part in name.split(".")[:-1]:
            owner = getattr(owner, part)
        old = getattr(owner, leaf)
    except AttributeError:  # a name that `values` made: a layer in a list, or in a model inside the model
        listed = values(model).get(name)
        if listed is None:
            raise
        old = listed
    shape = tuple(old.shape) if hasattr(old, "shape") and getattr(old.shape, "rank", 0) is not None else None
    if shape is not None and not _fits(shape, value.shape):
        raise Refused(f"{name} has the shape {shape}, where {value.shape} is needed")
    torch, tf = _library("torch"), _library("tensorflow")
    if torch is not None and isinstance(old, torch.Tensor):
        with torch.no_grad():
            old.copy_(torch.from_numpy(value.copy()))
    elif tf is not None and isinstance(old, (tf.Variable, tf.Tensor)):
        new = tf.cast(tf.convert_to_tensor(value), old.dtype)
        if isinstance(old, tf.Variable):
            old.assign(new)
        else:
            setattr(owner, leaf, new)
    elif hasattr(old, "assign") and hasattr(old, "dtype"):  # a variable of Keras
        old.assign(value)
    elif type(old) is np.ndarray and old.dtype.kind == "f" and old.flags.writeable:
        old[...] = value
    elif listed is None:
        setattr(owner, leaf, value.copy())


def read(model: Any, name: str) -> Any:
    """A parameter by a name that `values` gave it. Raises AttributeError when there is none."""
    found = values(model)
    if name not in found:
        raise AttributeError(f"{type(model).__name__!r} object has no attribute {name!r}")
    return found[name]


def _fits(shape: tuple[int | None, ...], wanted: tuple[int, ...]) -> bool:
    """Whether a variable takes a value of a shape; an axis of TensorFlow's that was left open (None) takes any."""
    return len(shape) == len(wanted) and all(have in (None, want) for have, want in zip(shape, wanted, strict=True))


def values(model: Any) -> dict[str, Any]:
    """{dotted name: variable or array} of everything that can learn in a model."""
    return dict(list(_named(model))[:MOST_PARAMETERS])


def _named(model: Any) -> Iterator[tuple[str, Any]]:
    torch = _library("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        yield from model.named_parameters()
        return
    yield from _walk(model, "", set(), 0)


def _walk(thing: Any, name: str, seen: set[int], depth: int) -> Iterator[tuple[str, Any]]:
    if id(thing) in seen or depth > MAX_DEPTH:
        return
    seen.add(id(thing))
    if _is_parameter(thing):
        keras = _library("keras")
        yield name or "value", thing.value if keras is not None and isinstance(thing, keras.Variable) else thing
        return
    inner: Iterator[tuple[str, Any]]
    if isinstance(thing, dict):
        inner = iter([(str(key), item) for key, item in list(thing.items())[:MOST_PARAMETERS]])
    elif isinstance(thing, (list, tuple)):
        inner = iter([(str(at), item) for at, item in enumerate(thing[:MOST_PARAMETERS])])
    elif hasattr(thing, "trainable_variables"):
        # Attributes first: Keras does not count a bare tf.Variable, and no variable knows the name it is held by.
        own = [(key, item) for key, item in vars(thing).items() if depth == 0 and not key.startswith("_")]
        inner = iter(own + [(_leaf_name(thing, v, at), v) for at, v in enumerate(thing.trainable_variables)])
    elif depth == 0 and hasattr(thing, "__dict__"):
        inner = iter(list(vars(thing).items()))
    else:
        return
    for key, item in inner:
        yield from _walk(item, f"{name}.{key}" if name else key, seen, depth + 1)


def _leaf_name(owner: Any, variable: Any, at: int) -> str:
    """The attribute that holds it, else "dense.kernel" of Keras' path with a number: two layers may have one name."""
    path = str(getattr(variable, "path", getattr(variable, "name", ""))).partition(":")[0]
    leaf = path.rpartition("/")[2]
    if leaf and getattr(owner, leaf, None) is variable:
        return leaf
    return f"{at}.{path.partition('/')[2].replace('/', '.') or path}"


def _is_parameter(thing: Any) -> bool:
    """Whether this can be learnt. Of NumPy's arrays any of floating point with an axis: the caller knows the names."""
    if isinstance(thing, np.ndarray):
        return thing.dtype.kind == "f" and thing.ndim > 0
    torch, tf, keras = (_library(name) for name in ("torch", "tensorflow", "keras"))
    if torch is not None and isinstance(thing, torch.Tensor):
        return bool(thing.requires_grad)
    if tf is not None and isinstance(thing, tf.Variable):
        return bool(thing.trainable) and thing.dtype.is_floating
    return keras is not None and isinstance(thing, keras.Variable) and bool(thing.trainable)


def optimizer(model: Any, name: str, settings: dict[str, Any]) -> Any:
    """An optimiser of the runtime's own ("SGD", "Adam") that knows the model's parameters.

    Keras' makes its slots when it first sees the variables, which tf.function allows only once: so it sees them here.
    """
    torch, keras = _library("torch"), _library("keras")
    here, there = ("lr", "learning_rate") if torch is not None else ("learning_rate", "lr")
    settings = {here if key == there else key: value for key, value in settings.items()}
    if torch is not None:
        return getattr(torch.optim, name)(list(values(model).values()), **settings)
    if keras is None:
        raise Refused("this runtime has no optimisers")
    made = getattr(keras.optimizers, name)(**settings)
    made.build(list(values(model).values()))
    return made
