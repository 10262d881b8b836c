"""Both gradients of your Matmul come out transposed; grad_x = grad_y @ W.T has the shape of x, grad_W = x.T @
grad_y that of W.

zh: 两个梯度都转置了：grad_x = grad_y @ W.T 与 x 同形，grad_W = x.T @ grad_y 与 W 同形。
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
        return np.matmul(W, grad_y.T), np.matmul(grad_y.T, x)
