"""Automatic differentiation by hand: write Matmul and Relu. Softmax and Log are given, as examples to read.

Each layer keeps in self.mem whatever its backward will need. Batches are stacks of row vectors, float64.
"""

import numpy as np


class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        # x: (batch, d_in), W: (d_in, d_out). Return x @ W and keep x and W in self.mem.
        raise NotImplementedError

    def backward(self, grad_y):
        # grad_y: (batch, d_out), the gradient of the loss with respect to what forward returned.
        # Return two arrays: grad_x (batch, d_in) and grad_W (d_in, d_out), in this order.
        raise NotImplementedError


class Relu:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        # Return max(x, 0), element by element, and keep x. Leave x itself as it is.
        raise NotImplementedError

    def backward(self, grad_y):
        # grad_y has the shape of x. Return grad_x: which entries of grad_y get through?
        raise NotImplementedError


# Given: nothing to write in the two classes below.
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


if __name__ == "__main__":
    # A look at your own answers. The grader does not run this part.
    x = np.random.normal(size=(4, 6))
    W1, W2 = np.random.normal(size=(6, 5)), np.random.normal(size=(5, 3))
    label = np.eye(3)[np.random.randint(0, 3, size=4)]
    mul1, relu, mul2, softmax, log = Matmul(), Relu(), Matmul(), Softmax(), Log()
    log_prob = log.forward(softmax.forward(mul2.forward(relu.forward(mul1.forward(x, W1)), W2)))
    print("loss:", -np.sum(label * log_prob))
    grad_h, grad_W2 = mul2.backward(softmax.backward(log.backward(-label)))
    grad_x, grad_W1 = mul1.backward(relu.backward(grad_h))
    print("gradient of W1:", grad_W1)
