"""Your Matmul.backward does not use grad_y, as if it were all ones; multiply by the gradient from above.

zh: backward 没有用到 grad_y，相当于当成全 1；要乘上面传下来的梯度。
"""

PART = "Matmul"

# Does not show where grad_y is all ones.


class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        self.mem = {"x": x, "W": W}
        return np.matmul(x, W)

    def backward(self, grad_y):
        x, W = self.mem["x"], self.mem["W"]
        ones = np.ones_like(grad_y)
        return np.matmul(ones, W.T), np.matmul(x.T, ones)
