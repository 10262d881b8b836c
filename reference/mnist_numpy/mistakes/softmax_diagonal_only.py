"""Your softmax gradient keeps the diagonal s (1 - s) only; a logit changes the other nine probabilities too.

zh: softmax 的梯度只保留了对角项 s (1 - s)；一个 logit 也会影响另外九个概率。
"""

PART = "gradients"


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
        return s * (1.0 - s) * grad_y
