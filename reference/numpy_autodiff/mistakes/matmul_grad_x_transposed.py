"""Your grad_x comes out transposed; it is grad_y @ W.T, with the shape of x.

zh: grad_x 转置了：应当是 grad_y @ W.T，与 x 同形。
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
        return np.matmul(W, grad_y.T), np.matmul(x.T, grad_y)
