from typing import Tuple

import numpy as np

Array = np.ndarray
rng = np.random.default_rng(42)


def target_fun(x: Array) -> Array:
    return -2.0 / (np.sin(x) + 2.0) + 0.01 * rng.uniform(-1.0, 1.0, size=np.shape(x))


def generate_dataset() -> Tuple[Tuple[Array, Array], Tuple[Array, Array]]:
    x = rng.uniform(-3.0, 3.0, size=(600, 1))
    y = target_fun(x)
    return (x[180:], y[180:]), (x[:180], y[:180])


class Matmul:
    def forward(self, x: Array, W: Array) -> Array:
        self.saved = x, W
        return np.einsum("nd,dm->nm", x, W)

    def backward(self, grad_y: Array) -> Tuple[Array, Array]:
        x, W = self.saved
        return np.einsum("nm,dm->nd", grad_y, W), np.einsum("nd,nm->dm", x, grad_y)


class Relu:
    def forward(self, x: Array) -> Array:
        self.positive = (x >= 0).astype(x.dtype)
        return self.positive * x

    def backward(self, grad_y: Array) -> Array:
        return self.positive * grad_y


class myModel:
    def __init__(self) -> None:
        self.W1 = 0.1 * rng.standard_normal((1, 640))
        self.b1 = 0.1 * rng.standard_normal(640)
        self.W2 = 0.1 * rng.standard_normal((640, 1))
        self.b2 = np.zeros((1, 1))

    def forward(self, x: Array) -> Array:
        self.x = x
        self.h1 = x @ self.W1 + self.b1
        self.h1_relu = np.clip(self.h1, 0.0, None)
        self.h2 = self.h1_relu @ self.W2 + self.b2
        return self.h2

    def backward(self, preds: Array, y: Array) -> None:
        delta = 2.0 * (preds - y) / preds.size
        self.W2_grad = self.h1_relu.T @ delta
        self.b2_grad = delta.sum(axis=0, keepdims=True)
        delta = (delta @ self.W2.T) * (self.h1 > 0.0)
        self.W1_grad = self.x.T @ delta
        self.b1_grad = delta.sum(axis=0)


def mse(a: Array, b: Array) -> float:
    return float(np.mean(np.square(a - b)))


if __name__ == "__main__":
    train, test = generate_dataset()
    net = myModel()
    for epoch in range(2000):
        net.backward(net.forward(train[0]), train[1])
        for name in ("W1", "b1", "W2", "b2"):
            setattr(net, name, getattr(net, name) - 0.05 * getattr(net, name + "_grad"))
    print(mse(net.forward(test[0]), test[1]))
