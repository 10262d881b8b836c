"""Your Softmax.backward returns s + grad_y, the gradient of softmax and log together, so Log is counted twice.
Put the given class back.

zh: 你改动过的 Softmax.backward 返回 s + grad_y，那是 softmax 与 log 合在一起的梯度，Log 被算了两次；请恢复原样。
"""

PART = "chain"


class Softmax:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        out = e / np.sum(e, axis=-1, keepdims=True)
        self.mem = {"out": out}
        return out

    def backward(self, grad_y):
        return self.mem["out"] + grad_y
