"""Layers with a common base class."""
from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy import ndarray as Array


class Layer(ABC):
    def __init__(self) -> None:
        self.mem: dict[str, Array] = {}

    @abstractmethod
    def backward(self, grad_y): ...

    def keep(self, **arrays: Array) -> None:
        self.mem.update(arrays)


class Matmul(Layer):
    def forward(self, x: Array, W: Array) -> Array:
        self.keep(x=x, W=W)
        return np.einsum("nd,dm->nm", x, W)

    def backward(self, grad_y: Array) -> tuple[Array, Array]:
        grad_x = np.einsum("nm,dm->nd", grad_y, self.mem["W"])
        grad_W = np.einsum("nd,nm->dm", self.mem["x"], grad_y)
        return grad_x, grad_W


class Relu(Layer):
    def forward(self, x: Array) -> Array:
        self.keep(x=x)
        return (x + np.abs(x)) / 2

    def backward(self, grad_y: Array) -> Array:
        return np.heaviside(self.mem["x"], 0.0) * grad_y


class Softmax:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        # x: (batch, classes). The largest entry of each row is taken off first, so exp cannot overflow.
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        out = e / np.sum(e, axis=-1, keepdims=True)
        self.mem["out"] = out
        return out

    def backward(self, grad_y):
        # The Jacobian of one row is diag(s) - s s^T; this is grad_y times it.
        s = self.mem["out"]
        return s * (grad_y - np.sum(s * grad_y, axis=-1, keepdims=True))


class Log:
    def __init__(self):
        self.epsilon = 1e-12
        self.mem = {}

    def forward(self, x):
        self.mem["x"] = x
        return np.log(x + self.epsilon)

    def backward(self, grad_y):
        return grad_y / (self.mem["x"] + self.epsilon)
