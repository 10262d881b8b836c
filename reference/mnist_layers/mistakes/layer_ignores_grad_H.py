"""Your FullConnectionLayer.backward does not use grad_H, as if it were all ones; multiply by the gradient from above.

zh: FullConnectionLayer.backward 没有用到 grad_H，相当于把它当成全 1；要乘上面传下来的梯度。
"""

PART = "FullConnectionLayer"


class FullConnectionLayer:
    def __init__(self):
        self.mem = {}

    def forward(self, X, W):
        self.mem = {"X": X, "W": W}
        return X @ W

    def backward(self, grad_H):
        X, W = self.mem["X"], self.mem["W"]
        ones = np.ones_like(grad_H)
        return ones @ W.T, X.T @ ones
