"""Your Matmul.backward divides both gradients by the batch size; that belongs to the loss, not to this layer.

zh: backward 把两个梯度都除以了批大小；取平均是损失函数的事，这一层不除。
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
        n = len(grad_y)
        return np.matmul(grad_y, W.T) / n, np.matmul(x.T, grad_y) / n
