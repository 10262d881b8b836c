"""All your Relu objects share one memory; create self.mem in __init__, so that each has its own.

zh: 你的所有 Relu 对象共用同一份记忆；请在 __init__ 中创建 self.mem，让每个对象各有一份。
"""

PART = "Relu"

# Shows only with two instances: forward a, forward b, backward a uses b's mask.


class Relu:
    mem = {}

    def forward(self, x):
        self.mem["x"] = x
        return np.maximum(x, 0.0)

    def backward(self, grad_y):
        return np.where(self.mem["x"] > 0, grad_y, 0.0)
