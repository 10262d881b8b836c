"""Noticing what a sheet forbids: libraries that are absent, calls of library functions, TensorFlow operations executed.

Rules of style, not of safety: the child could undo each of them, and then another still tells.
"""

from __future__ import annotations

import functools
import importlib.abc
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

# A sheet that asks for NumPy must not be answered with another library's gradients.
ABSENT: Mapping[str, tuple[str, ...]] = {
    "numpy": ("tensorflow", "keras", "torch", "jax", "autograd"),
    "tensorflow": ("torch", "jax", "autograd"),
    "torch": ("tensorflow", "keras", "jax", "autograd"),
}


class Absent(importlib.abc.MetaPathFinder):
    """Refuses the libraries that a sheet must not be answered with, in words.

    Only to the student's own imports: torch looks whether TensorFlow is there, and must not trip over the answer.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in self.names and asked_by_student():
            raise ModuleNotFoundError(f"{name} cannot be used in this assignment", name=name)


def asked_by_student() -> bool:
    """For a finder: whether the import that is going on stands in the submission."""
    frame = sys._getframe(2)
    while frame is not None and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back  # type: ignore[assignment]
    return frame is not None and frame.f_code.co_filename.startswith("/submission/")


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
