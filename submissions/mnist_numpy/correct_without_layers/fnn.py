from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HIDDEN = 128
LR = 1e-5
rng = np.random.default_rng(0)


def add_ones(x: NDArray) -> NDArray:
    flat = x.reshape(x.shape[0], -1)
    return np.c_[flat, np.ones(len(flat))]


class myModel:
    """No layer objects: the whole chain is short enough to be written out."""

    def __init__(self) -> None:
        self.W1 = rng.standard_normal((785, HIDDEN)) * np.sqrt(2 / 785)
        self.W2 = rng.standard_normal((HIDDEN, 10)) * np.sqrt(2 / HIDDEN)

    def forward(self, x: NDArray) -> NDArray:
        self.x = add_ones(x)
        self.h1 = self.x @ self.W1
        self.h1_relu = self.h1 * (self.h1 > 0)
        self.h2 = self.h1_relu @ self.W2
        shifted = self.h2 - self.h2.max(1, keepdims=True)
        self.h2_log = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        self.h2_soft = np.exp(self.h2_log)
        return self.h2_soft

    def backward(self, label: NDArray) -> None:
        delta = self.h2_soft - label
        self.W2_grad = np.einsum("nh,nc->hc", self.h1_relu, delta)
        self.W1_grad = self.x.T @ (delta @ self.W2.T * (self.h1 > 0))


def compute_loss(log_prob: NDArray, labels: NDArray) -> float:
    return float(-(log_prob * labels).sum() / len(labels))


def compute_accuracy(log_prob: NDArray, labels: NDArray) -> float:
    return float((log_prob.argmax(-1) == labels.argmax(-1)).mean())


def train_one_step(model: myModel, x: NDArray, y: NDArray) -> tuple[float, float]:
    model.forward(x)
    model.backward(y)
    for name in ("W1", "W2"):
        setattr(model, name, getattr(model, name) - LR * getattr(model, f"{name}_grad"))
    return test(model, x, y)  # after the step


def test(model: myModel, x: NDArray, y: NDArray) -> tuple[float, float]:
    model.forward(x)
    return compute_loss(model.h2_log, y), compute_accuracy(model.h2_log, y)
