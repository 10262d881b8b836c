"""Stand-ins that student code finds in a child: digits without a download, and what real notebooks import beside them.

* `load_data` of Keras' MNIST reads a file that the grader has put there; the first part of it, see digits.py.
* Where TensorFlow must not be used, `tensorflow` and `keras` still import, and offer that one function and nothing
  else: many a notebook takes its digits from there and computes in NumPy.
* `tqdm` is a loop without a progress bar where the real one is not installed, and of scikit-learn there is
  `train_test_split`, with which many a data set is split.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import io
import os
import sys
import types
from collections.abc import Iterable, Iterator, Sized
from typing import Any

import numpy as np

from grader.sandbox import jail, watching

_kept = b""  # of the digits, where no file can be put into the jail


def keep_digits(data: bytes) -> None:
    """For modes without a root of their own: the file's bytes, held by the zygote for all its children."""
    global _kept
    _kept = data


def load_data(path: str = "mnist.npz") -> Any:
    """(x_train, y_train), (x_test, y_test): images (n, 28, 28) uint8 and labels (n,) uint8, as Keras gives them."""
    if not _kept and not os.path.exists(jail.DIGITS):
        raise OSError("the digits of MNIST are not available here, and nothing can be downloaded")
    with np.load(io.BytesIO(_kept) if _kept else jail.DIGITS) as file:
        return (file["x_train"], file["y_train"]), (file["x_test"], file["y_test"])


def give_keras_digits() -> None:
    """In a zygote that has imported TensorFlow: its own load_data would download."""
    for name in ("keras.datasets.mnist", "keras.src.datasets.mnist", "keras._tf_keras.keras.datasets.mnist"):
        try:
            module: Any = importlib.import_module(name)
        except ImportError:  # another version of Keras has other names
            continue
        module.load_data = load_data


def install(runtime: str) -> None:
    """In a child, before the student's program is loaded."""
    sys.meta_path.insert(0, watching.Absent(watching.ABSENT[runtime]))
    if runtime != "tensorflow":
        sys.meta_path.insert(0, OnlyDigits())
    sys.meta_path.append(Bars())
    sys.meta_path.append(Split())


class StandIn(types.ModuleType):
    """A module that has what it was given, and says in words why it has nothing else."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # the import system asks for these
        raise AttributeError(_refusal(f"{self.__name__}.{name}"))


def _refusal(name: str) -> str:
    return (
        f"{name} cannot be used in this assignment: write this part with NumPy or the library that the assignment "
        "names. Of TensorFlow only keras.datasets.mnist.load_data is here"
        if name.partition(".")[0] in ("tensorflow", "keras")
        else f"{name} is not available here"
    )


class OnlyDigits(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the student's own imports of TensorFlow and Keras a module with the digits in it and nothing else."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        root, _, rest = name.partition(".")
        if root not in ("tensorflow", "keras"):
            return None
        if rest and isinstance(sys.modules.get(root), StandIn):
            raise ImportError(_refusal(name), name=name)  # what there is was put in sys.modules with the root
        if not rest and watching.asked_by_student():
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> StandIn:
        return StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        chain = ("keras", "datasets", "mnist") if module.__name__ == "tensorflow" else ("datasets", "mnist")
        _submodule(module, chain).load_data = load_data  # type: ignore[attr-defined]


def _submodule(module: types.ModuleType, chain: Iterable[str]) -> types.ModuleType:
    """Makes module.a.b of ("a", "b"), each importable by its full name; returns the last."""
    for leaf in chain:
        name = f"{module.__name__}.{leaf}"
        made = StandIn(name)
        made.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        made.__path__ = []
        sys.modules[name] = made
        setattr(module, leaf, made)
        module = made
    return module


class Bars(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """`tqdm` for an environment without it; found last, so a real one is preferred."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name == "tqdm" else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> StandIn:
        return StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        for place in (module, *(_submodule(module, (leaf,)) for leaf in ("auto", "notebook", "std"))):
            found: dict[str, Any] = {"tqdm": Bar, "trange": trange, "tqdm_notebook": Bar}
            vars(place).update(found)


class Split(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """`sklearn.model_selection.train_test_split` for an environment without scikit-learn, and nothing else of it."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name == "sklearn" else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> StandIn:
        return StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        vars(_submodule(module, ("model_selection",)))["train_test_split"] = train_test_split


def train_test_split(
    *arrays: Any,
    test_size: Any = None,
    train_size: Any = None,
    random_state: Any = None,
    shuffle: bool = True,
    **_: Any,
) -> list[Any]:
    """Rows of each array, train and test in turn: shares or counts, the same rows of every array."""
    n = len(arrays[0])
    if test_size is None:
        test_size = 0.25 if train_size is None else n - _count(train_size, n)
    test = _count(test_size, n)
    train = n - test if train_size is None else _count(train_size, n)
    draw = random_state if hasattr(random_state, "permutation") else np.random
    if isinstance(random_state, (int, np.integer)):
        draw = np.random.RandomState(random_state)
    order = draw.permutation(n) if shuffle else np.roll(np.arange(n), test)
    rows = order[test : test + train], order[:test]
    return [array[part] if hasattr(array, "shape") else [array[i] for i in part] for array in arrays for part in rows]


def _count(size: Any, n: int) -> int:
    """A share of n rows or a number of them; of a share the test set gets the larger half, as there."""
    return int(size) if isinstance(size, (int, np.integer)) else -int(-float(size) * n // 1)


class Bar:
    """A loop as tqdm makes it, without a bar. n: how many steps were taken or reported."""

    def __init__(
        self, iterable: Iterable[Any] | None = None, desc: str = "", total: float | None = None, **_: Any
    ) -> None:
        self.iterable, self.desc, self.n = iterable, desc, 0.0
        self.total = len(iterable) if total is None and isinstance(iterable, Sized) else total

    def __iter__(self) -> Iterator[Any]:
        for item in self.iterable if self.iterable is not None else ():
            yield item
            self.n += 1

    def __len__(self) -> int:
        return int(self.total or 0)

    def __bool__(self) -> bool:
        return True

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, n: float = 1) -> None:
        self.n += n

    @staticmethod
    def write(s: str, **_: Any) -> None:
        print(s)

    def _nothing(self, *_: Any, **__: Any) -> None:
        return None

    set_description = set_description_str = set_postfix = set_postfix_str = _nothing
    close = clear = refresh = reset = unpause = _nothing


def trange(*numbers: int, **options: Any) -> Bar:
    """tqdm(range(...))."""
    return Bar(range(*numbers), **options)
