"""Your Relu.backward overwrites grad_y; make a new array, for example with np.where.

zh: backward 改掉了传进来的 grad_y；请生成新数组，例如用 np.where。
"""

PART = "Relu"

# The values are right: it shows only in the caller's grad_y after backward.


class Relu:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        self.mem = {"x": x}
        return np.maximum(x, 0.0)

    def backward(self, grad_y):
        grad_y[self.mem["x"] <= 0] = 0.0
        return grad_y
