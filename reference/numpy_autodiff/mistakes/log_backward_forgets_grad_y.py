"""Your Log.backward returns 1 / x without grad_y; multiply by the gradient from above. Put the given class back.

zh: 你改动过的 Log.backward 只返回 1 / x，没有乘 grad_y；请恢复原样。
"""

PART = "chain"


class Log:
    def __init__(self):
        self.epsilon = 1e-12
        self.mem = {}

    def forward(self, x):
        self.mem = {"x": x}
        return np.log(x + self.epsilon)

    def backward(self, grad_y):
        return 1.0 / (self.mem["x"] + self.epsilon)
