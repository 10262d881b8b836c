"""Exemplary layers: forward keeps what backward needs in self.mem, backward multiplies by the gradient from above.

Arrays are float64 and batches are stacks of row vectors. No input is changed: every result is a new array.

Softmax shifts each row by its largest entry, which cancels in the quotient, so exp never overflows. Its backward uses
s * (g - sum(s * g)), the product with the Jacobian diag(s) - s s^T, without building that matrix. Log adds 1e-12 so
that a probability of exactly 0 gives a large finite number, and its backward divides by the same shifted argument.
"""

import numpy as np


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
    """The positive part, element by element. The gradient at exactly 0 is taken as 0."""

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
    """Probabilities over the last axis."""

    def __init__(self):
        self.mem = {}

    def forward(self, x):
        """x: (batch, classes). Returns the same shape, every row sums to 1."""
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        out = e / np.sum(e, axis=-1, keepdims=True)
        self.mem = {"out": out}
        return out

    def backward(self, grad_y):
        """grad_y: (batch, classes). Returns grad_x of the same shape."""
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
