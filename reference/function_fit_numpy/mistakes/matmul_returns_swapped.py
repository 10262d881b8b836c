"""Your Matmul.backward returns grad_W first; grad_x comes first, then grad_W.

zh: Matmul.backward 的返回顺序反了：先 grad_x，后 grad_W。
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
        return np.matmul(x.T, grad_y), np.matmul(grad_y, W.T)
