"""Functions that read the notebook's data instead of what they are given are named, and no others."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence

import pytest

from grader.intake import Slice, read_upload, slice_submission

NP = "import numpy as np\n"
DATA = NP + "d = np.random.normal(size=[2, 3])\n"


def look(cells: Sequence[str], *asked: str) -> Slice:
    made = [{"cell_type": "code", "source": c} for c in cells]
    return slice_submission(read_upload("hw.ipynb", json.dumps({"nbformat": 4, "cells": made}).encode(), asked), asked)


def said(text: str, name: str = "f") -> str:
    """The English sentence about a leak in a script of one cell."""
    leaks = look([text], name).leaks
    assert set(leaks) <= {name}
    return leaks[name].en if leaks else ""


def test_a_function_with_an_unused_parameter() -> None:
    cells = [
        "import tensorflow as tf",
        "def softmax(x): return x",
        "test_data = tf.random.normal([10, 5])",
        "prob = tf.nn.softmax(test_data)",
        "def softmax_ce(x, label):\n    return -tf.reduce_sum(label * tf.math.log(prob))",
    ]
    result = look(cells, "softmax", "softmax_ce")
    assert list(result.leaks) == ["softmax_ce"]
    leak = result.leaks["softmax_ce"]
    assert leak.en == "softmax_ce reads prob, which code cell 4, line 1 sets, instead of its own parameter x."
    assert leak.zh == "softmax_ce 读取的是第 4 个代码单元第 1 行赋值的 prob，而不是自己的参数 x。"


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("def f(x, y): return d", "its own parameters (x, y)."),
        ("def f(x, y): return x + y + d", "its own parameters (x, y)."),
        ("def f(x, *y, z=d, **w): return d + x", "its own parameters (y, z, w)."),
        ("def f(x):\n    def g(): return x\n    return g() + d", "its own parameter x."),
        ("def f(): return d", "sets; it has no parameter to get it by."),
        ("f = lambda x: d", "its own parameter x."),
    ],
)
def test_parameters(text: str, end: str) -> None:
    sentence = said(DATA + text)
    assert sentence.startswith("f reads d, which code cell 1, line 2 sets")
    assert sentence.endswith(end)


def test_methods() -> None:
    cells = [
        NP,
        "x = 1",
        "\nx = np.random.normal(size=[5, 6])",
        "class Relu:\n"
        "    def __init__(self): self.mem = {}\n"
        "    def forward(self, inputs): return np.maximum(inputs, 0)\n"
        "    def backward(self, grad_y): return np.where(x > 0, grad_y, 0)",
        "class Matmul:\n"
        "    def forward(self, a, W): return a @ W\n"
        "    def backward(self, grad_y): return self.help()\n"
        "    def help(self): return x",
        "class Model:\n"
        "    def __init__(self): self.W1 = 1\n"
        "    def forward(self, inputs): return x\n"
        "    def backward(self, label): return label - x",
    ]
    names = ["Relu", "Matmul", "Model"]
    leaks = look(cells, *names, *(f"{n}.{m}" for n in names for m in ("forward", "backward"))).leaks
    assert {name: text.en for name, text in leaks.items()} == {
        "Relu.backward": "Relu.backward reads x, which code cell 3, line 2 sets; "
        "what forward was given belongs in self.mem.",
        "Matmul.backward": "Matmul.backward relies on Matmul.help. Matmul.help reads x, which code cell 3, line 2 "
        "sets; what forward was given belongs in self.mem.",
        "Model.forward": "Model.forward reads x, which code cell 3, line 2 sets, instead of its own parameter inputs.",
        "Model.backward": "Model.backward reads x, which code cell 3, line 2 sets; "
        "what forward was given belongs in self.",
    }
    assert leaks["Relu.backward"].zh == (
        "Relu.backward 读取的是第 3 个代码单元第 2 行赋值的 x；forward 收到的内容应该保存在 self.mem 里。"
    )


def test_through_what_it_calls() -> None:
    text = DATA + "def h(p, q): return p * d\ndef g(x): return h(x, x)\ndef f(x): return g(x)"
    assert said(text) == ("f relies on h. h reads d, which code cell 1, line 2 sets, instead of its own parameter q.")
    assert said(DATA + "def h(p): return d\nimport tf\ng = tf.function(h)\ndef f(x): return g(x)").startswith(
        "f relies"
    )
    assert said(DATA + "g = lambda p: d\ndef f(x): return g(x)").startswith("f relies on g. g reads d")
    assert said(DATA + "class C:\n    def m(self, a): return d\ndef f(x): return C().m(x)").startswith(
        "f relies on C.m"
    )


@pytest.mark.parametrize(
    "text",
    [
        "d = open('x')",
        "d = load()",
        "d = np.load('x.npy')",
        "d = np.random.randn(3)",
        "d = np.array([1.0, 2.0])",
        "d = np.zeros([3, 4])",
        "n = np.load('x')\nd = n",
        "n = np.load('x')\nd = len(n) * 2",
        "n = np.load('x')\nd = n.shape[0]",
        "n = np.load('x')\nd = 1\nd += n",
        "n = np.load('x')\nd = [n, 1]",
        "d = [i for i in load()]",
        "d: float = load()",
        "(d, e), g = load()",
        "d, e = load(), 1",
        "if np:\n    d = load()",
        "with np.errstate():\n    e = load()\n    d = e",
        "for i in range(3):\n    d = load()",
        "class C: pass\nd = C()",
        "from torchvision import datasets\nd = datasets.MNIST('data')",
        "import tensorflow as tf\nd = tf.Variable(1.0)",
    ],
)
def test_data(text: str) -> None:
    assert said(NP + text + "\ndef f(x): return d").startswith("f reads d")


@pytest.mark.parametrize(
    "text",
    [
        "d = 1e-12",
        "d = -1 / 3 + 2 ** 5",
        "d = 'relu'",
        "d = (1, [2, 3])",
        "d = {}",
        "d = None",
        "N = 10\nd = N * 2",
        "d = np.float64",
        "d = np.pi / 2",
        "t = np\nd = t.float32",
        "d = np.float64(1e-12)",
        "d = np.finfo(np.float64).eps",
        "d = np.sqrt(2.0)",
        "d = list(range(10))",
        "d = float('1e-12')",
        "d, e = 1, load()",
        "d = 1\nd += 1",
        "d = np.load('x')\nd = 1",
        "d = load()\ndef d(): return 1",
        "d = load()\nclass d: pass",
        "d = load()\nimport d",
        "def d(): return 1",
        "class d: pass",
        "d = np.vectorize(lambda a: a)",
        "import functools\nd = functools.partial(np.sum, axis=0)",
        "import tf\ndef g(a): return a\nd = tf.function(g)",
        "import tf\ndef g(a): return a\nd = tf.function(jit_compile=True)(g)",
        "d = lambda a: a",
        "import torch\nd = torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "import torch.nn as nn\nd = nn.MSELoss()",
        "import tensorflow as tf\nd = tf.keras.optimizers.Adam(learning_rate=1e-3)",
        "d = np.random.default_rng(0)",
        "try:\n    import cupy as np\nexcept ImportError:\n    import numpy as np\nd = np.float64(1)",
        "from tensorflow import *\nd = constant(1.0)",
        "for d in range(3): pass",
    ],
)
def test_no_data(text: str) -> None:
    assert not said(NP + text + "\ndef f(x): return d")


@pytest.mark.parametrize(
    "text",
    [
        "def f(d): return d",
        "def f(x):\n    d = x\n    return d",
        "def f(x, y=d): return y",
        "def f(x): return [d for d in x]",
        "def f(x): return x\nprint(f(d))",
        "def f(x): return x.d",
        "def g(): return d\ndef f(x): return x",
        "class C:\n    def m(self, x): return x\nc = C()\ndef f(x): return c.m(x)",
    ],
)
def test_what_is_not_read_when_it_is_called(text: str) -> None:
    assert not said(DATA + text)


def test_only_the_last_assignment_and_its_file_in_a_zip() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("main.py", "from a import g\nd = open('x')\nd = open('y')\ndef f(x): return g(d)")
        archive.writestr("a.py", "e = open('x')\ndef g(x): return x + e")
    asked = ["f", "g"]
    leaks = slice_submission(read_upload("hw.zip", out.getvalue(), asked), asked).leaks
    assert {name: text.en for name, text in leaks.items()} == {
        "f": "f reads d, which main.py, line 3 sets, instead of its own parameter x."
    }
    assert leaks["f"].zh.startswith("f 读取的是 main.py 第 3 行赋值的 d，")
