"""The digits in the jail: what notebooks ask for is there, what scores is not; a stand-in is no way to a library."""

from __future__ import annotations

from typing import Any

import pytest

from grader.arrays import load_digits
from grader.sandbox.digits import SHIPPED
from grader.sandbox.limits import CheckLimits

from .arena import Arena, found_in_memory

pytestmark = pytest.mark.sandbox
ROOMY = CheckLimits(cpu_s=20.0, wall_s=40.0, memory_mib=512, output_kib=256)

LOADS = """
import importlib
WAYS = {
    "attribute": "import tensorflow as tf; r = tf.keras.datasets.mnist.load_data()",
    "from tensorflow": "from tensorflow.keras.datasets import mnist; r = mnist.load_data(path='/any/mnist.npz')",
    "datasets": "from tensorflow.keras import datasets; r = datasets.mnist.load_data()",
    "keras of tensorflow": "from tensorflow import keras; r = keras.datasets.mnist.load_data()",
    "from keras": "from keras.datasets import mnist; r = mnist.load_data()",
    "keras": "import keras; r = keras.datasets.mnist.load_data('mnist.npz')",
    "by name": "import tensorflow.keras.datasets.mnist as m; r = m.load_data()",
    "function": "from keras.datasets.mnist import load_data; r = load_data()",
    "file": "import numpy as np; z = np.load('mnist.npz');"
            "r = (z['x_train'], z['y_train']), (z['x_test'], z['y_test'])",
    "cache": "import numpy as np, os; z = np.load(os.path.expanduser('~/.keras/datasets/mnist.npz'));"
             "r = (z['x_train'], z['y_train']), (z['x_test'], z['y_test'])",
}
def load(way):
    names = {}
    exec(compile(WAYS[way], "/submission/main.py", "exec"), names)
    (x, y), (x_test, y_test) = names["r"]
    shapes = [x.shape, y.shape, x_test.shape, y_test.shape]
    return {"shapes": shapes, "y_test": y_test, "writable": bool(x.flags.writeable)}
def ways(): return list(WAYS)
"""

READS = """
def everything():
    "All that can be read outside of the libraries, and arrays in files beside them."
    found, names = {}, []
    libraries = ("/python", "/packages", "/usr")
    for root in ("/data", "/tmp", "/proc", "/dev/shm", "/var", "/old", "/home", "/root", "/work", *libraries):
        for folder, _, files in os.walk(root):
            for name in files:
                path = os.path.join(folder, name)
                own = root not in libraries
                if own or name.endswith((".npz", ".npy", ".gz", ".idx", ".csv")) or "mnist" in name:
                    names.append(path)
                    if own:
                        try:
                            with open(path, "rb") as file: found[path] = file.read(8 << 20)
                        except OSError: pass
    return names, list(found.items())
def keep_all():
    global kept
    kept = everything(), [np.load(p) for p in ("mnist.npz", "/data/mnist.npz")]
    import keras
    kept += (keras.datasets.mnist.load_data(),)
"""

STAND_IN = """
import importlib, importlib.util
def get(code):
    names = {}
    exec(compile(code, "/submission/main.py", "exec"), names)
    return repr(names.get("r"))
def tries(codes):
    return [attempt(lambda: get(code)) for code in codes]
"""
WAYS_ROUND = (
    "import tensorflow as tf; r = tf.nn.softmax",
    "import tensorflow as tf; r = tf.Variable",
    "import tensorflow as tf; r = tf.keras.layers",
    "import tensorflow.nn as r",
    "from tensorflow.python.framework import ops as r",
    "from tensorflow import raw_ops as r",
    "from keras import ops as r",
    "from keras.src import backend as r",
    "import tensorflow, importlib; importlib.reload(tensorflow); r = tensorflow.nn",
    "import sys, tensorflow; del sys.modules['tensorflow']; import tensorflow.nn as r",
    "import sys; sys.meta_path[:2] = []; sys.modules.pop('tensorflow', 0); import tensorflow.nn as r",
    "import sys; sys.meta_path[:2] = []; sys.modules.pop('keras', 0); from keras import ops as r",
    "import importlib.machinery as m; r = m.PathFinder.find_spec('tensorflow').loader.load_module('tensorflow').nn",
    "open('/packages/tensorflow/__init__.py').read()",
    "import ctypes; r = ctypes.CDLL('/packages/tensorflow/libtensorflow_cc.so.2')",
    "import keras.datasets.mnist as m; r = m.load_data.__globals__['sys'].modules['tensorflow'].nn",
)


def test_digits_are_there_in_every_spelling(arena: Arena) -> None:
    digits = load_digits(SHIPPED)
    with arena.program(LOADS, ROOMY) as child:
        for way in arena.call(child, "ways"):
            loaded = arena.call(child, "load", way)
            assert [tuple(shape) for shape in loaded["shapes"]] == [(4000, 28, 28), (4000,), (500, 28, 28), (500,)], way
            assert loaded["y_test"].tolist() == digits.y_test[:500].tolist(), way
            assert loaded["writable"], way


def test_digits_that_score_are_nowhere_in_reach(arena: Arena) -> None:
    """Neither in a file nor anywhere in the memory of a child that has read all there is, zygote's pages included."""
    digits = load_digits(SHIPPED)
    with arena.program(READS, ROOMY) as child:
        names, found = arena.call(child, "everything")
        held = b"".join({data for _, data in found})
        assert digits.x_train[17].tobytes() in held  # it looks where digits are
        assert [i for i, image in enumerate(digits.x_scoring[::10]) if image[8:20].tobytes() in held] == []
        assert digits.y_scoring.tobytes() not in held
        assert [path for path in names if path.startswith("/work")] == []
        arena.call(child, "keep_all")
        scoring = {str(i): image[8:20].tobytes() for i, image in enumerate(digits.x_scoring[::50])}
        needles = {**scoring, "labels": digits.y_scoring.tobytes(), "shown": digits.x_train[17, 8:20].tobytes()}
        assert found_in_memory(child.pid, needles) == {"shown"}


def test_digits_cannot_be_changed_for_the_next_one(arena: Arena) -> None:
    source = """
def spoil():
    said = [attempt(lambda: open("/data/mnist.npz", "wb")), attempt(lambda: os.unlink("/data/mnist.npz")),
            attempt(lambda: os.chmod("/data/mnist.npz", 0o777)), attempt(lambda: os.rename("/data", "/data2"))]
    os.unlink("mnist.npz")
    open("mnist.npz", "wb").write(b"poison")
    return said
def again():
    import keras
    return len(keras.datasets.mnist.load_data()[0][0]), len(np.load("mnist.npz")["y_train"])
"""
    with arena.program(source) as child:
        said: Any = arena.call(child, "spoil")
        assert [text for text in said if not text.startswith("refused")] == []
    with arena.program(source) as child:
        assert arena.call(child, "again") == (4000, 4000)


def test_a_stand_in_is_no_way_to_the_library(arena: Arena) -> None:
    with arena.program(STAND_IN, ROOMY) as child:
        said = arena.call(child, "tries", list(WAYS_ROUND))
        assert [pair for pair in zip(WAYS_ROUND, said, strict=True) if not pair[1].startswith("refused")] == []
        assert "cannot be used in this assignment" in said[0]


BARS = """
def loops():
    import tqdm as package, tqdm.notebook
    from tqdm import tqdm as bar_of, trange
    from tqdm.auto import tqdm as auto
    bar, seen = bar_of(range(3), desc="epoch"), []
    for i in bar:
        bar.set_description(f"epoch {i}"); bar.set_postfix(loss=1.0, accuracy="0.5"); seen.append(i)
    with package.notebook.tqdm(total=4) as hand:
        hand.update(2); hand.update()
    package.tqdm.write("said")
    bar.close()
    return seen, list(trange(2, 4)), list(auto("ab")), len(bar), bar.n, hand.n
"""


def test_a_loop_with_a_progress_bar_is_a_loop(arena: Arena) -> None:
    with arena.program(BARS) as child:
        assert arena.call(child, "loops") == ([0, 1, 2], [2, 3], ["a", "b"], 3, 3, 3)
        assert child.output == b"said\n"
