import numpy as np


class Matmul:
    mem = {}

    def forward(self, x, W):
        self.mem['x'] = x
        self.mem['W'] = W
        return np.dot(x, W)

    def backward(self, grad_y):
        return np.dot(grad_y, self.mem['W'].T), np.dot(self.mem['x'].T, grad_y)


class Relu:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        self.mem['x'] = x
        return np.where(x > 0, x, np.zeros_like(x))

    def backward(self, grad_y):
        """grad_y: same shape as x"""
        x = self.mem['x']
        return (x > 0).astype(np.float64) * grad_y


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
