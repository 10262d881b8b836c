"""You average the error before you go back, so every point gets the same gradient.

zh: 反向之前就对误差取了平均，每个点得到的梯度都一样了。
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
        grad_h2 = np.full(preds.shape, 2.0 / len(y) * np.mean(preds - y))
        grad_h1_relu, self.W2_grad = self.mul_h2.backward(grad_h2)
        _, self.W1_grad = self.mul_h1.backward(self.relu.backward(grad_h1_relu))
