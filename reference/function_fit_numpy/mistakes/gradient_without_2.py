"""Your gradient lacks the 2 of the square: the derivative of (preds - y)^2 is 2 (preds - y).

zh: 少了平方求导带来的 2：(preds - y)^2 的导数是 2 (preds - y)。
"""

PART = "gradients"


class myModel:
    def __init__(self):
        self.W1 = 0.1 * np.random.normal(size=(2, HIDDEN))
        self.W2 = 0.1 * np.random.normal(size=(HIDDEN, 1))
        self.mul_h1, self.relu, self.mul_h2 = Matmul(), Relu(), Matmul()

    def forward(self, x):
        x = np.concatenate([x, np.ones((x.shape[0], 1))], axis=1)
        self.h1 = self.mul_h1.forward(x, self.W1)
        self.h1_relu = self.relu.forward(self.h1)
        self.h2 = self.mul_h2.forward(self.h1_relu, self.W2)
        return self.h2

    def backward(self, preds, y):
        grad_h2 = (preds - y) / len(y)
        grad_h1_relu, self.W2_grad = self.mul_h2.backward(grad_h2)
        _, self.W1_grad = self.mul_h1.backward(self.relu.backward(grad_h1_relu))
