"""Your softmax computes exp(1000), which is infinite; take the largest logit of each row off first, the quotient
stays the same.

zh: softmax 直接计算 exp(1000)，结果是无穷大；先减去每行最大的 logit，商不变。
"""

PART = "robustness"


class Softmax:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        e = np.exp(x)
        out = e / np.sum(e, axis=-1, keepdims=True)
        self.mem = {"out": out}
        return out

    def backward(self, grad_y):
        s = self.mem["out"]
        return s * (grad_y - np.sum(s * grad_y, axis=-1, keepdims=True))
