"""Your gradients add up over the calls of backward; each call starts from zero.

zh: 梯度在多次 backward 之间累加了；每次调用都应当重新算。
"""

PART = "fit"


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
        grad_h1_relu, grad_W2 = self.mul_h2.backward(grad_h2)
        _, grad_W1 = self.mul_h1.backward(self.relu.backward(grad_h1_relu))
        self.W2_grad = getattr(self, "W2_grad", 0.0) + grad_W2
        self.W1_grad = getattr(self, "W1_grad", 0.0) + grad_W1
