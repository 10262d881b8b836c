import numpy as np


class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        h = np.matmul(x, W)
        self.mem = {'x': x, 'W': W}
        return h

    def backward(self, grad_y):
        """
        x: shape(N, d)
        w: shape(d, d')
        grad_y: shape(N, d')
        """
        x = self.mem['x']
        W = self.mem['W']
        grad_x = np.matmul(grad_y, W.T)
        grad_W = np.matmul(x.T, grad_y)
        return grad_x, grad_W


class Relu:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        self.mem["x"] = x
        return np.maximum(x, 0)

    def backward(self, grad_y):
        grad_x = grad_y.copy()
        i = 0
        while i < grad_x.size:
            if self.mem["x"].flat[i] > 0:
                i += 1
            elif self.mem["x"].flat[i] < 0:
                grad_x.flat[i] = 0
                i += 1
        return grad_x


class Softmax:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        # x: (batch, classes). The largest entry of each row is taken off first, so exp cannot overflow.
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        out = e / np.sum(e, axis=-1, keepdims=True)
        self.mem["out"] = out
        return out

    def backward(self, grad_y):
        # The Jacobian of one row is diag(s) - s s^T; this is grad_y times it.
        s = self.mem["out"]
        return s * (grad_y - np.sum(s * grad_y, axis=-1, keepdims=True))


class Log:
    def __init__(self):
        self.epsilon = 1e-12
        self.mem = {}

    def forward(self, x):
        self.mem["x"] = x
        return np.log(x + self.epsilon)

    def backward(self, grad_y):
        return grad_y / (self.mem["x"] + self.epsilon)
