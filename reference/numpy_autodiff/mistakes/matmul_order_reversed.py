"""Your Matmul.forward computes W @ x; the sheet asks for x @ W.

zh: forward 里乘的顺序反了：题目要求 x @ W，不是 W @ x。
"""

PART = "Matmul"

# Gives values only where the shapes allow it, e.g. square x and W; otherwise NumPy raises ValueError.


class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        self.mem = {"x": x, "W": W}
        return np.matmul(W, x)

    def backward(self, grad_y):
        x, W = self.mem["x"], self.mem["W"]
        return np.matmul(grad_y, W.T), np.matmul(x.T, grad_y)
