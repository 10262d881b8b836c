"""Your Relu.backward lets the gradient through where x is negative; it is the positive entries that pass.

zh: 掩码反了：应当放行 x 为正的位置，你放行了为负的位置。
"""

PART = "Relu"


class Relu:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        self.mem = {"x": x}
        return np.maximum(x, 0.0)

    def backward(self, grad_y):
        return np.where(self.mem["x"] < 0, grad_y, 0.0)
