"""Your grad_x multiplies by W where W.T belongs: the shapes fit only for a square W.

zh: 算 grad_x 时乘的是 W，应当乘 W.T；只有 W 是方阵时形状才对得上。
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
        return np.matmul(grad_y, W), np.matmul(x.T, grad_y)
