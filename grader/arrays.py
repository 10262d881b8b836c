"""Data files of assignments, for the trusted side: arrays that a check reads, such as the digits of MNIST.

What is read is kept for the life of the process and cannot be written to: no check changes the data of the next.
"""

from __future__ import annotations

import functools
import types
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grader.errors import AssignmentError

Array = np.ndarray[Any, Any]

SCORING = 500  # of the test digits, the last; no file that students' code can read holds them
_KEYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Digits:
    """Images x_*: (n, 28, 28) uint8, 0 is black. Labels y_*: (n,) uint8, 0 to 9. All read-only."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array

    @property
    def x_scoring(self) -> Array:
        """(500, 28, 28): images that no student's code has seen before a check shows them to it."""
        return self.x_test[-SCORING:]

    @property
    def y_scoring(self) -> Array:
        """(500,): their labels, which never leave this process."""
        return self.y_test[-SCORING:]


@functools.cache
def load_arrays(path: Path) -> Mapping[str, Array]:
    """{name: read-only array} of an .npz file, read once. Raises AssignmentError."""
    if not path.is_file():
        raise AssignmentError(f"{path} is missing: a check needs the arrays in it")
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise AssignmentError(f"{path} is not an .npz file")
            arrays = {name: np.asarray(loaded[name]) for name in loaded.files}
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise AssignmentError(f"{path} is not an .npz file of plain arrays: {error}") from None
    for array in arrays.values():
        array.setflags(write=False)
    return types.MappingProxyType(arrays)


@functools.cache
def load_digits(path: Path) -> Digits:
    """The digits of a file with the keys of Keras' mnist.npz, read once. Raises AssignmentError with what is wrong."""
    arrays = load_arrays(path)
    absent = [key for key in _KEYS if key not in arrays]
    if absent:
        raise AssignmentError(f"{path} has no {', '.join(absent)}; needed are {', '.join(_KEYS)}")
    for part in ("train", "test"):
        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28) or not len(images):
            raise AssignmentError(f"{path}: x_{part} must be uint8 of shape (n, 28, 28), not {_form(images)}")
        if labels.dtype != np.uint8 or labels.shape != images.shape[:1] or labels.max() > 9:
            raise AssignmentError(
                f"{path}: y_{part} must be {len(images)} digits from 0 to 9 as uint8, not {_form(labels)}"
            )
    return Digits(**{key: arrays[key] for key in _KEYS})


def _form(array: Array) -> str:
    largest = f" up to {array.max()}" if array.size and array.dtype.kind in "ui" else ""
    return f"{array.dtype} of shape {array.shape}{largest}"
