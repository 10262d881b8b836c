"""Your Log.backward has a minus sign; the gradient of log is grad_y / x. Put the given class back.

zh: 你改动过的 Log.backward 多了负号；对数的梯度是 grad_y / x，请恢复原样。
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
        return -grad_y / (self.mem["x"] + self.epsilon)
