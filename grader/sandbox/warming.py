"""First use of everything, paid while a child is parked: TensorFlow builds its context, torch its optimiser."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np


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


@contextlib.contextmanager
def functions_run_eagerly() -> Iterator[None]:
    """A replay calls each function of each known mistake a few times: tracing them would cost more than it saves."""
    tf: Any = sys.modules["tensorflow"]
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _warm_tensorflow() -> None:
    tf: Any = sys.modules["tensorflow"]
    tf.random.set_seed(0)
    tf.get_logger().setLevel("ERROR")  # advice about retracing would look like the student's own fault
    for dtype in (np.float64, np.float32):
        _warm_ops(tf, np.linspace(0.1, 0.9, 6, dtype=dtype).reshape(2, 3))


def _warm_ops(tf: Any, array: np.ndarray[Any, Any]) -> None:
    """What losses and activations are made of when they are written by hand, on one dtype.

    The first use of an operation takes 1 ms of CPU in every child, of tf.function 14, of a matrix product 28: those
    that few homeworks contain, or that are what a homework asks for, such as tf.nn.softmax, are paid for by whoever
    uses them.
    """
    x = tf.convert_to_tensor(array)
    with tf.GradientTape() as tape:
        tape.watch(x)
        e = tf.exp(array - tf.reduce_max(array, axis=-1, keepdims=True))
        y = e / tf.reduce_sum(e, axis=-1, keepdims=True)
        z = tf.reduce_mean(-tf.reduce_sum(array * tf.math.log(y + 1e-12), axis=-1))
    tape.gradient(z, x)
    for op in (tf.abs, tf.negative, tf.math.log, tf.math.log1p, tf.reduce_sum, tf.reduce_mean, tf.reduce_max):
        op(x)
    for op in (tf.add, tf.subtract, tf.multiply, tf.divide, tf.maximum):
        op(x, x)
    1 + x, 1 - x, 1 / x, -x, x > 0, x >= 0, x[0], x * array, array * x
    tf.where(x > 0, x, tf.zeros_like(x)) / (1 + x)
    tf.clip_by_value(x, 0.1, 0.9)
    tf.cast(array, x.dtype)
    tf.cast(x, tf.float64 if x.dtype == tf.float32 else tf.float32)
    tf.constant(array)
    tf.expand_dims(x, -1)
    tf.reshape(x, [-1])
    tf.reduce_sum(x, 0)
    x.numpy()


def _warm_torch() -> None:
    torch: Any = sys.modules["torch"]
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    loss = torch.nn.functional.mse_loss(net(torch.ones(4, 2)), torch.zeros(4, 1))
    loss.backward()
    optimiser.step()
