"""Your FullConnectionLayer.backward returns grad_W first; the sheet asks for grad_X, grad_W in this order.

zh: FullConnectionLayer.backward 先返回了 grad_W；题目要求依次返回 grad_X, grad_W。
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
        return X.T @ grad_H, grad_H @ W.T
