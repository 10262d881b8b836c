"""Your softmax does not divide by the sum of the row, so the ten numbers are no probabilities.

zh: softmax 没有除以每行之和，得到的十个数不是概率。
"""

PART = "forward"


class Softmax:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        out = e
        self.mem = {"out": out}
        return out

    def backward(self, grad_y):
        s = self.mem["out"]
        return s * (grad_y - np.sum(s * grad_y, axis=-1, keepdims=True))
