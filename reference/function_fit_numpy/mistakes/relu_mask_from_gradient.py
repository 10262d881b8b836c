"""Your Relu.backward looks at the sign of the gradient; the sign of x, kept by forward, decides.

zh: Relu.backward 看的是梯度的正负；起决定作用的是 forward 存下的 x 的正负。
"""

PART = "layers"


class Relu:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        self.mem = {"x": x}
        return np.maximum(x, 0.0)

    def backward(self, grad_y):
        return np.maximum(grad_y, 0.0)
