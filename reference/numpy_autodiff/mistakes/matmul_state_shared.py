"""Two Matmul objects share one memory because mem is defined on the class; create self.mem in __init__.

zh: mem 写在类上，两个 Matmul 对象共用一份记忆；请在 __init__ 里建立 self.mem。
"""

PART = "Matmul"

# Shows only with two instances: forward a, forward b, backward a gives the gradients of b's inputs.


class Matmul:
    mem = {}

    def forward(self, x, W):
        self.mem["x"] = x
        self.mem["W"] = W
        return np.matmul(x, W)

    def backward(self, grad_y):
        x, W = self.mem["x"], self.mem["W"]
        return np.matmul(grad_y, W.T), np.matmul(x.T, grad_y)
