"""Your Relu.forward returns the absolute value; negative entries must become 0.

zh: forward 取了绝对值；负数应当变成 0。
"""

PART = "Relu"


class Relu:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        self.mem = {"x": x}
        return np.abs(x)

    def backward(self, grad_y):
        return np.where(self.mem["x"] > 0, grad_y, 0.0)
