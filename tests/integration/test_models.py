"""Models of TensorFlow, Keras and torch in the jail: parameters by name, set from outside, moved by an optimiser."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from grader.sandbox.child import CallError, Child
from grader.sandbox.limits import CheckLimits
from grader.sandbox.pool import Sandbox
from grader.subjects import Subject, tensor
from grader.training import optimizer, parameters, same_trajectory, set_parameters, train

pytestmark = [pytest.mark.sandbox]

TENSORFLOW = """
import tensorflow as tf
from tensorflow import keras

class Model:
    def __init__(self):
        self.W1 = tf.Variable(tf.random.normal([2, 3]))
        self.b1 = tf.Variable(tf.zeros([3]))
        self.steps = tf.Variable(0, trainable=False)
    def __call__(self, x):
        return x @ self.W1 + self.b1

class Nested(keras.Model):
    def __init__(self):
        super().__init__()
        self.net = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(1)])
    def call(self, x):
        return self.net(x)

class Layers(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)
    def call(self, x):
        return self.dense(x)

@tf.function
def step(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(x) - y) ** 2)
    variables = [model.W1, model.b1]
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    return loss

@tf.function
def by_hand(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(x) - y) ** 2)
    for variable, slope in zip([model.W1, model.b1], tape.gradient(loss, [model.W1, model.b1])):
        variable.assign_sub(0.01 * slope)
    return loss
"""
TORCH = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = torch.nn.Linear(2, 3)
        self.layer2 = torch.nn.Linear(3, 1)
    def forward(self, x):
        return self.layer2(torch.relu(self.layer1(x)))

def step(model, optimiser, x, y):
    loss = torch.nn.functional.mse_loss(model(x), y)
    optimiser.zero_grad(); loss.backward(); optimiser.step()
    return loss
"""
X, Y = np.array([[1.0, 2.0], [0.5, -1.0]], dtype=np.float32), np.ones((2, 3), dtype=np.float32)
X_TORCH, Y_TORCH = tensor(X, "torch"), tensor(Y[:, :1], "torch")
W, B = np.arange(6.0).reshape(2, 3) / 10, np.array([0.1, 0.2, 0.3])


@pytest.fixture
def program(sandbox: Sandbox, need_tensorflow: None, need_torch: None) -> Any:
    """program(runtime, source) -> a subject of a child of its own."""
    children: list[Child] = []

    def load(runtime: str, source: str) -> Subject:
        child = sandbox.take(runtime)
        children.append(child)
        child.begin(CheckLimits(cpu_s=20.0, wall_s=30.0))
        child.ask("load", source=source, file="main", modules={}, watch=[], ops=[], seed=0)
        return Subject(child, classes=frozenset({"Model", "Nested", "Layers", "Net"}), methods=frozenset())

    yield load
    for child in children:
        child.close()


def test_variables_have_their_attributes_names(program: Callable[..., Subject]) -> None:
    subject = program("tensorflow", TENSORFLOW)
    model = subject.Model()
    set_parameters(model, W1=W)
    found = parameters(model)
    assert set(found) == {"W1", "b1"}
    assert found["W1"].array.dtype == np.float32
    assert np.allclose(found["W1"].array, W)


def test_layers_inside_a_model_are_set_and_read_by_the_names_that_parameters_gives(
    program: Callable[..., Subject],
) -> None:
    subject = program("tensorflow", TENSORFLOW)
    model = subject.Nested()
    model(X)
    name = next(name for name, value in parameters(model).items() if value.array.shape == (2, 3))
    set_parameters(model, **{name: W})
    assert np.allclose(np.asarray(getattr(model, name)), W)
    with pytest.raises(CallError, match="missing"):
        np.asarray(getattr(model, "net.missing"))


def test_a_keras_model_names_its_variables_once_it_is_built(program: Callable[..., Subject]) -> None:
    subject = program("tensorflow", TENSORFLOW)
    model = subject.Layers()
    model(X)
    found = parameters(model)
    assert sorted(value.array.shape for value in found.values()) == [(2, 3), (3,)]
    assert sorted(name.rpartition(".")[2] for name in found) == ["bias", "kernel"]


@pytest.mark.parametrize("function", ["step", "by_hand"])
def test_an_optimizer_moves_two_models_through_one_tf_function(program: Callable[..., Subject], function: str) -> None:
    subject = program("tensorflow", TENSORFLOW)
    runs = []
    for _ in range(2):
        model = subject.Model()
        set_parameters(model, W1=W, b1=B)
        sgd = optimizer(model, "SGD", learning_rate=0.01)
        take = getattr(subject, function)
        runs.append(train(subject, partial(take, model, sgd, X, Y), 3, model=model, watch=("W1", "b1")))
    same_trajectory(*runs)
    slope = 2 / Y.size * X.T @ (X @ W + B - Y)
    assert np.allclose(np.asarray(runs[0].parameters["W1"][1]), W - 0.01 * slope, atol=1e-6)
    assert len(runs[0].losses()) == 3


def test_a_torch_module_is_set_and_moved_by_dotted_names(program: Callable[..., Subject]) -> None:
    subject = program("torch", TORCH)
    model = subject.Net()
    set_parameters(model, **{"layer1.weight": W.T.copy(), "layer1.bias": B})
    adam = optimizer(model, "Adam", lr=1e-2)
    found = parameters(model)
    assert set(found) == {"layer1.weight", "layer1.bias", "layer2.weight", "layer2.bias"}
    assert np.allclose(found["layer1.weight"].array, W.T)
    run = train(subject, lambda: subject.step(model, adam, X_TORCH, Y_TORCH), 2, model=model, watch=("layer1.weight",))
    values = [np.asarray(value) for value in run.parameters["layer1.weight"]]
    assert np.allclose(values[0], W.T)
    moved = np.abs(values[1] - values[0])
    assert np.allclose(moved[moved > 0], 1e-2, atol=1e-4)  # what the first step of Adam is


def test_another_shape_is_refused_by_name(program: Callable[..., Subject]) -> None:
    subject = program("torch", TORCH)
    model = subject.Net()
    set_parameters(model, **{"layer2.weight": np.ones((2, 3))})
    with pytest.raises(CallError, match=r"layer2.weight has the shape \(1, 3\)"):
        parameters(model).keys()


SPLIT = """
from sklearn.model_selection import train_test_split
import numpy as np

def parts(**options):
    x = np.arange(20).reshape(10, 2)
    return train_test_split(x, np.arange(10), **options)

def nothing_else():
    from sklearn.linear_model import LinearRegression
"""


def test_a_data_set_is_split_as_scikit_learn_would(program: Callable[..., Subject]) -> None:
    subject = program("numpy", SPLIT)
    x_train, x_test, y_train, y_test = (np.asarray(part) for part in subject.parts(test_size=0.3, random_state=1))
    assert (len(x_train), len(x_test)) == (7, 3)
    assert np.array_equal(x_train[:, 0], 2 * y_train)
    assert sorted([*y_train, *y_test]) == list(range(10))
    again = subject.parts(test_size=0.3, random_state=1)
    assert np.array_equal(np.asarray(again[1]), x_test)
    assert [len(part) for part in subject.parts()] == [7, 3, 7, 3]
    in_order = subject.parts(test_size=4, shuffle=False)
    assert list(in_order[2]) == [0, 1, 2, 3, 4, 5]
    subject.nothing_else()
    with pytest.raises(CallError, match="sklearn"):
        subject._conversation.finish()
