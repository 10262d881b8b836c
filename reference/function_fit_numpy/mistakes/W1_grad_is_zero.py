"""Your W1_grad is 0 everywhere, so the first layer never learns: the kinks stay where they started.

zh: W1_grad 处处为 0，第一层什么也没学到，拐点停在最初的位置。
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
        grad_h2 = 2.0 / len(y) * (preds - y)
        _, self.W2_grad = self.mul_h2.backward(grad_h2)
        self.W1_grad = np.zeros_like(self.W1)
