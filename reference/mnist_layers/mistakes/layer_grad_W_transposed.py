"""Your grad_W is the transpose of what is asked: grad_W has the shape of W, so X.T stands in front.

zh: grad_W 算成了转置：它应当与 W 同形，所以 X.T 要放在前面。
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
        return grad_H @ W.T, grad_H.T @ X
