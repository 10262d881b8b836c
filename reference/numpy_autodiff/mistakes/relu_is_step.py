"""Your Relu.forward returns 1 for positive entries; it must return the entries themselves.

zh: forward 对正数返回了 1；应当返回它本身。
"""

PART = "Relu"

# Does not show where the positive entries of x are all 1.


class Relu:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        self.mem = {"x": x}
        return np.where(x > 0, 1.0, 0.0)

    def backward(self, grad_y):
        return np.where(self.mem["x"] > 0, grad_y, 0.0)
