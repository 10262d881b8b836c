"""Your grad_W multiplies X by grad_H; X has to be transposed first, so that the sum goes over the batch.

zh: 算 grad_W 时用 X 乘了 grad_H；要先转置 X，求和才是沿着批进行的。
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
        return grad_H @ W.T, X @ grad_H
