"""Your Log takes the logarithm to base 2; the given one is the natural logarithm. Put the given class back.

zh: 你改动过的 Log 以 2 为底；原来给出的是自然对数，请恢复原样。
"""

PART = "chain"


class Log:
    def __init__(self):
        self.epsilon = 1e-12
        self.mem = {}

    def forward(self, x):
        self.mem = {"x": x}
        return np.log2(x + self.epsilon)

    def backward(self, grad_y):
        return grad_y / (self.mem["x"] + self.epsilon) / np.log(2.0)
