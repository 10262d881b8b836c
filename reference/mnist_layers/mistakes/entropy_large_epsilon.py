"""The epsilon in your CrossEntropy is 0.01, which changes the loss; use 1e-12.

zh: CrossEntropy 里加的 eps 是 0.01，损失因此变了；请用 1e-12。
"""

PART = "CrossEntropy"


class CrossEntropy:
    def __init__(self):
        self.mem = {}

    def forward(self, p, y):
        self.mem = {"p": p}
        return np.mean(np.sum(-y * np.log(p + 0.01), axis=-1))

    def backward(self, y):
        return -y / (self.mem["p"] + 0.01)
