"""Your Relu.forward overwrites the array it is given; make a new array, for example with np.maximum.

zh: forward 改掉了传进来的数组；请生成新数组，例如用 np.maximum。
"""

PART = "Relu"

# The values are right: it shows only in the caller's x after forward.


class Relu:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        x[x < 0] = 0.0
        self.mem = {"x": x}
        return x

    def backward(self, grad_y):
        return np.where(self.mem["x"] > 0, grad_y, 0.0)
