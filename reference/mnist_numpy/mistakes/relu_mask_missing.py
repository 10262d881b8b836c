"""Your gradient passes the Relu everywhere; where h1 is negative it must be stopped. W2_grad does not show it,
W1_grad does.

zh: 反向经过 Relu 时梯度全部通过了；h1 为负的地方应当截断，梯度为 0。这个错误只影响 W1_grad，不影响 W2_grad。
"""

PART = "gradients"


class myModel:
    def __init__(self):
        self.W1 = np.random.normal(size=(28 * 28 + 1, 100))
        self.W2 = np.random.normal(size=(100, 10))
        self.mul_h1, self.mul_h2 = Matmul(), Matmul()
        self.relu, self.softmax, self.log = Relu(), Softmax(), Log()

    def forward(self, x):
        pixels = x.reshape(len(x), -1)
        x = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
        self.h1 = self.mul_h1.forward(x, self.W1)
        self.h1_relu = self.relu.forward(self.h1)
        self.h2 = self.mul_h2.forward(self.h1_relu, self.W2)
        self.h2_soft = self.softmax.forward(self.h2)
        self.h2_log = self.log.forward(self.h2_soft)

    def backward(self, label):
        grad = self.softmax.backward(self.log.backward(-label))
        grad, self.W2_grad = self.mul_h2.backward(grad)
        _, self.W1_grad = self.mul_h1.backward(grad)
