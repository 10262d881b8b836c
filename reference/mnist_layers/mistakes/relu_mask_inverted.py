"""Your Relu.backward lets the gradient through where X was negative; it is the other way round.

zh: Relu.backward 在 X 为负的地方放行了梯度，正好反了。
"""

PART = "Relu"


class Relu:
    def __init__(self):
        self.mem = {}

    def forward(self, X):
        self.mem = {"X": X}
        return np.maximum(X, 0.0)

    def backward(self, grad_H):
        return np.where(self.mem["X"] < 0, grad_H, 0.0)
