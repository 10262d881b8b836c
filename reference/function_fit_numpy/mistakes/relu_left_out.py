"""Your second Matmul gets h1 instead of h1_relu: without the relu the whole network is one straight line.

zh: 第二个 Matmul 用的是 h1 而不是 h1_relu：没有 relu，整个网络只是一条直线。
"""

PART = "model"


class myModel:
    def __init__(self):
        self.W1 = 0.1 * np.random.normal(size=(2, HIDDEN))
        self.W2 = 0.1 * np.random.normal(size=(HIDDEN, 1))
        self.mul_h1, self.relu, self.mul_h2 = Matmul(), Relu(), Matmul()

    def forward(self, x):
        x = np.concatenate([x, np.ones((x.shape[0], 1))], axis=1)
        self.h1 = self.mul_h1.forward(x, self.W1)
        self.h1_relu = self.relu.forward(self.h1)
        self.h2 = self.mul_h2.forward(self.h1, self.W2)
        return self.h2

    def backward(self, preds, y):
        grad_h2 = 2.0 / len(y) * (preds - y)
        grad_h1, self.W2_grad = self.mul_h2.backward(grad_h2)
        _, self.W1_grad = self.mul_h1.backward(grad_h1)
