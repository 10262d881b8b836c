"""Your logarithm of a probability of 0 is minus infinity; add a small number such as 1e-12 inside it.

zh: 概率为 0 时，你的对数是负无穷；在对数里加一个很小的数，例如 1e-12。
"""

PART = "robustness"


class Log:
    def __init__(self):
        self.epsilon = 0.0
        self.mem = {}

    def forward(self, x):
        self.mem = {"x": x}
        return np.log(x + self.epsilon)

    def backward(self, grad_y):
        return grad_y / (self.mem["x"] + self.epsilon)
