"""Your grad_W is transposed; x.T @ grad_y has the shape of W.

zh: grad_W 转置了；x.T @ grad_y 才与 W 同形。
"""

PART = "layers"


class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        self.mem = {"x": x, "W": W}
        return np.matmul(x, W)

    def backward(self, grad_y):
        x, W = self.mem["x"], self.mem["W"]
        return np.matmul(grad_y, W.T), np.matmul(grad_y.T, x)
