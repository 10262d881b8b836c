"""Your grad_W is x @ grad_y; the transpose is missing: it is x.T @ grad_y.

zh: grad_W 里的 x 忘了转置：应当是 x.T @ grad_y。
"""

PART = "Matmul"

# Gives values only where the batch is as large as d_in; otherwise NumPy raises ValueError.


class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        self.mem = {"x": x, "W": W}
        return np.matmul(x, W)

    def backward(self, grad_y):
        x, W = self.mem["x"], self.mem["W"]
        return np.matmul(grad_y, W.T), np.matmul(x, grad_y)
