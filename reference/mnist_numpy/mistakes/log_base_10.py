"""Your h2_log is the logarithm to base 10; the loss and its gradient need the natural one, np.log.

zh: h2_log 用的是以 10 为底的对数；损失和梯度需要自然对数 np.log。
"""

PART = "forward"


class Log:
    def __init__(self):
        self.epsilon = 1e-12
        self.mem = {}

    def forward(self, x):
        self.mem = {"x": x}
        return np.log10(x + self.epsilon)

    def backward(self, grad_y):
        return grad_y / (self.mem["x"] + self.epsilon)
