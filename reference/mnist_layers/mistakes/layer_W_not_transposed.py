"""Your grad_X multiplies grad_H by W; the way back goes through W.T.

zh: 算 grad_X 时 grad_H 乘的是 W；往回走要乘 W.T。
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
        return grad_H @ W, X.T @ grad_H
