"""Your grad_W is divided by the batch size; grad_W is x.T @ grad_y, the sum over the batch.

zh: grad_W 除以了批大小；它应当是 x.T @ grad_y，即对批求和，不取平均。
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
        return np.matmul(grad_y, W.T), np.matmul(x.T, grad_y) / len(x)
