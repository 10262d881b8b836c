"""All your FullConnectionLayer objects share one memory, because mem belongs to the class; create it in __init__, on
self.

zh: mem 写在了类上，所有 FullConnectionLayer 共用一份记忆；请在 __init__ 里建到 self 上。
"""

PART = "FullConnectionLayer"


class FullConnectionLayer:
    mem = {}

    def __init__(self):
        pass

    def forward(self, X, W):
        self.mem["X"], self.mem["W"] = X, W
        return X @ W

    def backward(self, grad_H):
        X, W = self.mem["X"], self.mem["W"]
        return grad_H @ W.T, X.T @ grad_H
