"""Your grad_W comes out transposed; it is x.T @ grad_y, with the shape of W.

zh: grad_W 转置了：应当是 x.T @ grad_y，与 W 同形。
"""

PART = "Matmul"


class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        self.mem = {"x": x, "W": W}
        return np.matmul(x, W)

    def backward(self, grad_y):
        x, W = self.mem["x"], self.mem["W"]
        return np.matmul(grad_y, W.T), np.matmul(grad_y.T, x)
