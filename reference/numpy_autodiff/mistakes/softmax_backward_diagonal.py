"""Your Softmax.backward is grad_y * s * (1 - s), which ignores that each output depends on all logits. Put the
given class back.

zh: 你改动过的 Softmax.backward 只剩 grad_y * s * (1 - s)，漏了各输出之间的相互影响；请恢复原样。
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
        s = self.mem["out"]
        return grad_y * s * (1.0 - s)
