"""Your Softmax normalises over axis 0; the given one uses the last axis. Put the given class back.

zh: 你改动过的 Softmax 沿第 0 维归一化；原来给出的是最后一维，请恢复原样。
"""

PART = "chain"


class Softmax:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        e = np.exp(x - np.max(x, axis=0, keepdims=True))
        out = e / np.sum(e, axis=0, keepdims=True)
        self.mem = {"out": out}
        return out

    def backward(self, grad_y):
        s = self.mem["out"]
        return s * (grad_y - np.sum(s * grad_y, axis=0, keepdims=True))
