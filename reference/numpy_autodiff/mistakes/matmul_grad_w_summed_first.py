"""Your grad_W sums x and grad_y over the batch before multiplying; multiply row by row first: x.T @ grad_y.

zh: 你先把 x 和 grad_y 各自对批求和再相乘；应当逐行相乘后再求和，即 x.T @ grad_y。
"""

PART = "Matmul"

# Does not show on a batch of one.


class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        self.mem = {"x": x, "W": W}
        return np.matmul(x, W)

    def backward(self, grad_y):
        x, W = self.mem["x"], self.mem["W"]
        grad_W = np.outer(np.sum(x, axis=0), np.sum(grad_y, axis=0))
        return np.matmul(grad_y, W.T), grad_W
