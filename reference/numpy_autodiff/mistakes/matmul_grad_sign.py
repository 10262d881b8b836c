"""Both gradients of your Matmul have the wrong sign; the minus belongs to the loss or to the update, not here.

zh: 两个梯度的符号反了；负号属于损失或参数更新，不在这一层。
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
        return -np.matmul(grad_y, W.T), -np.matmul(x.T, grad_y)
