"""You left the column of ones out, so no unit has a bias: every kink stays at x = 0.

zh: 你没有拼那一列 1，每个单元都没有偏置，所有拐点都停在 x = 0。
"""

PART = "model"


class myModel:
    def __init__(self):
        self.W1 = 0.1 * np.random.normal(size=(1, HIDDEN))
        self.W2 = 0.1 * np.random.normal(size=(HIDDEN, 1))
        self.mul_h1, self.relu, self.mul_h2 = Matmul(), Relu(), Matmul()

    def forward(self, x):
        self.h1 = self.mul_h1.forward(x, self.W1)
        self.h1_relu = self.relu.forward(self.h1)
        self.h2 = self.mul_h2.forward(self.h1_relu, self.W2)
        return self.h2

    def backward(self, preds, y):
        grad_h2 = 2.0 / len(y) * (preds - y)
        grad_h1_relu, self.W2_grad = self.mul_h2.backward(grad_h2)
        _, self.W1_grad = self.mul_h1.backward(self.relu.backward(grad_h1_relu))
