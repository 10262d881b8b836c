"""The gradient of a weight is the transposed input times the gradient; your product lacks the transpose, and its
shapes do not fit.

zh: 权重的梯度是输入的转置乘以上面的梯度；你的乘法少了转置，形状对不上。
"""

PART = "gradients"


class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        self.mem = {"x": x, "W": W}
        return np.matmul(x, W)

    def backward(self, grad_y):
        x, W = self.mem["x"], self.mem["W"]
        return np.matmul(grad_y, W.T), np.matmul(x, grad_y)
