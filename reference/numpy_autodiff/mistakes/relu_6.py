"""Your Relu cuts values off at 6; max(x, 0) has no upper bound.

zh: 你把大于 6 的值截断了；max(x, 0) 没有上界。
"""

PART = "Relu"

# Shows only where x has an entry above 6.


class Relu:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        self.mem = {"x": x}
        return np.clip(x, 0.0, 6.0)

    def backward(self, grad_y):
        x = self.mem["x"]
        return np.where((x > 0) & (x < 6), grad_y, 0.0)
