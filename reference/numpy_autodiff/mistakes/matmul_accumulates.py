"""Your grad_W adds up over calls of backward; each call returns the gradient for its own grad_y only.

zh: grad_W 在多次 backward 之间累加了；每次只返回这一次的梯度。
"""

PART = "Matmul"

# Shows only from the second backward of one instance on.


class Matmul:
    def __init__(self):
        self.mem = {}
        self.grad_W = 0.0

    def forward(self, x, W):
        self.mem = {"x": x, "W": W}
        return np.matmul(x, W)

    def backward(self, grad_y):
        x, W = self.mem["x"], self.mem["W"]
        self.grad_W = self.grad_W + np.matmul(x.T, grad_y)
        return np.matmul(grad_y, W.T), self.grad_W
