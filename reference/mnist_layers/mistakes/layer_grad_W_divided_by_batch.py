"""Your grad_W is divided by the batch size; the mean belongs to the loss, and here its gradient is summed.

zh: grad_W 多除了批大小；取平均是损失函数的事，这里应当对整批求和。
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
        return grad_H @ W.T, X.T @ grad_H / len(X)
