"""TensorFlow and torch in the jail: what must work there, what must not, and values of every kind on their way out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from grader.sandbox.child import CallError, Child
from grader.sandbox.limits import CheckLimits, Mode
from grader.sandbox.pool import Sandbox
from grader.sandbox.wire import Handle, Tensor

pytestmark = [pytest.mark.sandbox]
LIMITS = CheckLimits(cpu_s=20.0, wall_s=30.0)

DIGITS = """
def digits():
    import keras, tensorflow as tf
    import tensorflow.keras.datasets.mnist as c
    from keras.datasets import mnist as d
    from tensorflow.keras import datasets as e
    from tensorflow.keras.datasets import mnist as f
    loaders = (tf.keras.datasets.mnist, keras.datasets.mnist, c, d, e.mnist, f)
    return [[part.shape for pair in loader.load_data() for part in pair] for loader in loaders]
"""
TENSORFLOW = (
    """
import tensorflow as tf

@tf.function
def graph(x):
    for _ in tf.range(3):
        x = x + 1.0
    return x

def fit():
    model = tf.keras.Sequential([tf.keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    model.fit(tf.ones((8, 2)), tf.ones((8, 3)), epochs=2, verbose=0)
    return len(model.weights)

def slope(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    return tape.gradient(y, x)

def variable(): return tf.Variable([1.0, 2.0])
def ragged(): return tf.ragged.constant([[1.0], [2.0, 3.0]])
def half(): return tf.constant([1.5], tf.bfloat16)
def sparse_rows():
    table = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(tf.gather(table, [1]))
    return tape.gradient(y, table)

@tf.function
def keep(x):
    kept.append(x)
    return x
kept = []
def symbolic():
    keep(tf.constant(1.0))
    return kept[0]

def read_passwd(): return tf.io.read_file("/etc/passwd")
def list_root(): return tf.io.gfile.listdir("/root")
def bucket(): return tf.io.gfile.exists("gs://bucket/file")
def download(): return tf.keras.utils.get_file("x", "http://127.0.0.1:1/x")
def write_packages(): tf.io.write_file("/packages/evil.py", "1")
"""
    + DIGITS
)

TORCH = (
    """
import torch

def softmax(x): return torch.softmax(x, -1)
def train():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(1, 20), torch.nn.ReLU(), torch.nn.Linear(20, 1))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    x = torch.linspace(-1, 1, 50)[:, None]
    losses = []
    for _ in range(60):
        loss = torch.nn.functional.mse_loss(net(x), torch.sin(3 * x))
        optimiser.zero_grad(); loss.backward(); optimiser.step()
        losses.append(float(loss))
    return losses
def needs_grad(): return torch.ones(2, requires_grad=True)
def conjugate(): return torch.tensor([1 + 2j]).conj()
def sparse(): return torch.eye(2).to_sparse()
def load_hub(): return torch.hub.load("pytorch/vision", "resnet18")
"""
    + DIGITS
)


@pytest.fixture
def tensorflow(make_sandbox: Callable[..., Sandbox], need_tensorflow: None) -> Iterator[Child]:
    yield from _child(make_sandbox(), "tensorflow", TENSORFLOW)


@pytest.fixture
def torch(make_sandbox: Callable[..., Sandbox], need_torch: None) -> Iterator[Child]:
    yield from _child(make_sandbox(), "torch", TORCH)


def _child(sandbox: Sandbox, runtime: str, source: str) -> Iterator[Child]:
    child = sandbox.take(runtime)
    child.begin(LIMITS)
    child.ask("load", source=source, file="main", modules={}, watch=[], ops=[], seed=0)
    child.begin(LIMITS)
    yield child
    child.close()


def call(child: Child, name: str, *args: Any) -> Any:
    child.send([["call", 1, None, name, list(args), {}]])
    return child.receive()[0][0]


def test_tensorflow_works(tensorflow: Child) -> None:
    assert call(tensorflow, "graph", Tensor("tensorflow", np.array(1.0))).array == 4.0
    assert call(tensorflow, "fit") == 2
    slope = call(tensorflow, "slope", Tensor("tensorflow", np.array([1.0, -2.0])))
    assert slope.framework == "tensorflow"
    assert slope.array.tolist() == [2.0, -4.0]
    assert call(tensorflow, "digits") == [[(4000, 28, 28), (4000,), (500, 28, 28), (500,)]] * 6


def test_tensorflow_values(tensorflow: Child) -> None:
    assert call(tensorflow, "variable").array.tolist() == [1.0, 2.0]
    assert call(tensorflow, "half").array.dtype == np.float32
    assert call(tensorflow, "sparse_rows").array.tolist() == [[0.0, 0.0], [1.0, 1.0]]
    assert isinstance(call(tensorflow, "ragged"), Handle)
    with pytest.raises(CallError, match="symbolic"):
        call(tensorflow, "symbolic")


@pytest.mark.parametrize("name", ["read_passwd", "list_root", "bucket", "download", "write_packages"])
def test_tensorflow_reaches_nothing(tensorflow: Child, name: str) -> None:
    started = time.monotonic()
    try:
        value = call(tensorflow, name)
    except CallError:
        value = None
    assert value in (None, False)
    assert time.monotonic() - started < LIMITS.wall_s


def test_torch_works(torch: Child) -> None:
    """After its digits have come from a stand-in: the optimiser looks for other libraries when it is first used."""
    assert call(torch, "digits") == [[(4000, 28, 28), (4000,), (500, 28, 28), (500,)]] * 6
    assert call(torch, "softmax", Tensor("torch", np.zeros((1, 2)))).array.tolist() == [[0.5, 0.5]]
    losses = call(torch, "train")
    assert losses[-1] < losses[0] / 2
    steps: list[list[Any]] = [
        ["new", 1, None, "torch.nn.Linear", [2, 3], {}],
        ["assign", 2, Handle(1), "weight", [np.ones((3, 2))], {}],
        ["parameters", 3, Handle(1), "", [], {}],
    ]
    torch.send(steps)
    assert torch.receive()[0][2]["weight"].array.tolist() == [[1.0, 1.0]] * 3


def test_torch_without_namespaces(make_sandbox: Callable[..., Sandbox], need_torch: None) -> None:
    """Mode C: lazily imported packages, the digits and a figure, where no file can be made."""
    figure = """
def figure():
    import matplotlib.pyplot as plt
    plt.plot([1, 2])
    plt.show()
"""
    sandbox = make_sandbox(mode=Mode.C, allow_degraded=True)
    for child in _child(sandbox, "torch", TORCH + figure):
        assert call(child, "digits")[0][0] == (4000, 28, 28)
        assert call(child, "train")[-1] < 1
        call(child, "figure")
        assert [png[:4] for png in child.pictures] == [b"\x89PNG"]


def test_torch_values(torch: Child) -> None:
    assert call(torch, "needs_grad").array.tolist() == [1.0, 1.0]
    assert call(torch, "conjugate").array.tolist() == [1 - 2j]
    assert call(torch, "sparse").array.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    with pytest.raises(CallError):
        call(torch, "load_hub")
