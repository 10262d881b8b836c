"""An exemplary two-layer network on MNIST: 785 inputs (784 pixels and a 1), 100 hidden units, 10 classes.

Each layer keeps in self.mem what its backward needs. The gradients are those of the summed loss, so that the sum over
the batch is the matrix product itself; only compute_loss, which people read, is a mean.
"""

import numpy as np

STEP = 1e-5


class Matmul:
    """The product x @ W."""

    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        """x: (batch, d_in), W: (d_in, d_out). Returns (batch, d_out)."""
        self.mem = {"x": x, "W": W}
        return np.matmul(x, W)

    def backward(self, grad_y):
        """grad_y: (batch, d_out). Returns grad_x: (batch, d_in) and grad_W: (d_in, d_out)."""
        x, W = self.mem["x"], self.mem["W"]
        return np.matmul(grad_y, W.T), np.matmul(x.T, grad_y)


class Relu:
    """The positive part, element by element."""

    def __init__(self):
        self.mem = {}

    def forward(self, x):
        """x: any shape. Returns max(x, 0)."""
        self.mem = {"x": x}
        return np.maximum(x, 0.0)

    def backward(self, grad_y):
        """grad_y: the shape of x. Returns grad_x, zero wherever x was not positive."""
        return np.where(self.mem["x"] > 0, grad_y, 0.0)


class Softmax:
    """Probabilities over the last axis. The largest logit of each row is taken off first, so exp cannot overflow."""

    def __init__(self):
        self.mem = {}

    def forward(self, x):
        """x: (batch, classes). Returns the same shape, every row sums to 1."""
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        out = e / np.sum(e, axis=-1, keepdims=True)
        self.mem = {"out": out}
        return out

    def backward(self, grad_y):
        """grad_y: (batch, classes). Returns grad_x: the product with the Jacobian diag(s) - s s^T of each row."""
        s = self.mem["out"]
        return s * (grad_y - np.sum(s * grad_y, axis=-1, keepdims=True))


class Log:
    """log(x + 1e-12), element by element."""

    def __init__(self):
        self.epsilon = 1e-12
        self.mem = {}

    def forward(self, x):
        """x: any shape, not negative. Returns the same shape."""
        self.mem = {"x": x}
        return np.log(x + self.epsilon)

    def backward(self, grad_y):
        """grad_y: the shape of x. Returns grad_x."""
        return grad_y / (self.mem["x"] + self.epsilon)


class myModel:
    """Matmul, Relu, Matmul, Softmax, Log. The last row of W1 is the bias: it meets the column of ones."""

    def __init__(self):
        self.W1 = np.random.normal(size=(28 * 28 + 1, 100))
        self.W2 = np.random.normal(size=(100, 10))
        self.mul_h1, self.mul_h2 = Matmul(), Matmul()
        self.relu, self.softmax, self.log = Relu(), Softmax(), Log()

    def forward(self, x):
        """x: (batch, 28, 28) or (batch, 784), from 0 to 1. Fills h1, h1_relu (batch, 100), h2, h2_soft, h2_log."""
        pixels = x.reshape(len(x), -1)
        x = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
        self.h1 = self.mul_h1.forward(x, self.W1)
        self.h1_relu = self.relu.forward(self.h1)
        self.h2 = self.mul_h2.forward(self.h1_relu, self.W2)
        self.h2_soft = self.softmax.forward(self.h2)
        self.h2_log = self.log.forward(self.h2_soft)

    def backward(self, label):
        """label: (batch, 10) one-hot. Fills W1_grad, W2_grad of the loss -sum(label * h2_log) of the last forward."""
        grad = self.softmax.backward(self.log.backward(-label))
        grad, self.W2_grad = self.mul_h2.backward(grad)
        _, self.W1_grad = self.mul_h1.backward(self.relu.backward(grad))


def compute_loss(log_prob, labels):
    """log_prob, labels: (batch, 10). Returns the mean cross entropy over the batch."""
    return np.mean(-np.sum(labels * log_prob, axis=1))


def compute_accuracy(log_prob, labels):
    """log_prob, labels: (batch, 10). Returns the share of rows whose largest entries stand at the same place."""
    return np.mean(np.argmax(log_prob, axis=1) == np.argmax(labels, axis=1))


def train_one_step(model, x, y):
    """One step down the gradient of the summed loss. Returns loss and accuracy as they were before the step."""
    model.forward(x)
    model.backward(y)
    model.W1 = model.W1 - STEP * model.W1_grad
    model.W2 = model.W2 - STEP * model.W2_grad
    return compute_loss(model.h2_log, y), compute_accuracy(model.h2_log, y)


def test(model, x, y):
    """Loss and accuracy on data that is not learned from."""
    model.forward(x)
    return compute_loss(model.h2_log, y), compute_accuracy(model.h2_log, y)
