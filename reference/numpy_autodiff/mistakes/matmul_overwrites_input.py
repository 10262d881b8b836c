"""Your Matmul.backward writes grad_x into the array x it was given; put the result into a new array.

zh: backward 把 grad_x 写进了传入的 x；请把结果放进新数组。
"""

PART = "Matmul"

# The values are right the first time: it shows in the caller's x, and in grad_W of a second backward.


class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        self.mem = {"x": x, "W": W}
        return np.matmul(x, W)

    def backward(self, grad_y):
        x, W = self.mem["x"], self.mem["W"]
        grad_W = np.matmul(x.T, grad_y)
        grad_x = np.matmul(grad_y, W.T, out=x)
        return grad_x, grad_W
