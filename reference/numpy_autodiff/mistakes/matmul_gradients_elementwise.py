"""Your Matmul.backward multiplies element by element; both gradients are matrix products, grad_y @ W.T and x.T @
grad_y.

zh: backward 做了逐元素相乘；两个梯度都是矩阵乘法：grad_y @ W.T 与 x.T @ grad_y。
"""

PART = "Matmul"

# Gives values only where x, W and grad_y broadcast, e.g. all square; otherwise NumPy raises ValueError.


class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        self.mem = {"x": x, "W": W}
        return np.matmul(x, W)

    def backward(self, grad_y):
        x, W = self.mem["x"], self.mem["W"]
        return grad_y * W, x * grad_y
