"""Your grad_x is grad_y @ W; the transpose is missing: it is grad_y @ W.T.

zh: grad_x 里的 W 忘了转置：应当是 grad_y @ W.T。
"""

PART = "Matmul"

# Gives values only where W is square; otherwise NumPy raises ValueError.


class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        self.mem = {"x": x, "W": W}
        return np.matmul(x, W)

    def backward(self, grad_y):
        x, W = self.mem["x"], self.mem["W"]
        return np.matmul(grad_y, W), np.matmul(x.T, grad_y)
