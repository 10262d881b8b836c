"""The column that you put beside x holds 0, so the second row of W1 never takes part; it should hold 1.

zh: 你拼在 x 旁边的那一列是 0，W1 的第二行就不起作用了；那一列应当是 1。
"""

PART = "model"


class myModel:
    def __init__(self):
        self.W1 = 0.1 * np.random.normal(size=(2, HIDDEN))
        self.W2 = 0.1 * np.random.normal(size=(HIDDEN, 1))
        self.mul_h1, self.relu, self.mul_h2 = Matmul(), Relu(), Matmul()

    def forward(self, x):
        x = np.concatenate([x, np.zeros((x.shape[0], 1))], axis=1)
        self.h1 = self.mul_h1.forward(x, self.W1)
        self.h1_relu = self.relu.forward(self.h1)
        self.h2 = self.mul_h2.forward(self.h1_relu, self.W2)
        return self.h2

    def backward(self, preds, y):
        grad_h2 = 2.0 / len(y) * (preds - y)
        grad_h1_relu, self.W2_grad = self.mul_h2.backward(grad_h2)
        _, self.W1_grad = self.mul_h1.backward(self.relu.backward(grad_h1_relu))
