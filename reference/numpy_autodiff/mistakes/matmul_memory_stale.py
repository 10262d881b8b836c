"""Your Matmul keeps only the first x and W it ever saw; every forward has to replace what is kept.

zh: 你的 Matmul 只记住了第一次的 x 和 W；每次 forward 都要更新记忆。
"""

PART = "Matmul"

# Shows only in a backward after the second forward of one instance.


class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        if not self.mem:
            self.mem = {"x": x, "W": W}
        return np.matmul(x, W)

    def backward(self, grad_y):
        x, W = self.mem["x"], self.mem["W"]
        return np.matmul(grad_y, W.T), np.matmul(x.T, grad_y)
