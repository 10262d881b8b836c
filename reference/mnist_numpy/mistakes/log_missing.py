"""Your h2_log is h2_soft itself; take its logarithm.

zh: h2_log 直接用了 h2_soft，没有取对数。
"""

PART = "forward"


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
        self.log.forward(self.h2_soft)
        self.h2_log = self.h2_soft

    def backward(self, label):
        grad = self.softmax.backward(self.log.backward(-label))
        grad, self.W2_grad = self.mul_h2.backward(grad)
        _, self.W1_grad = self.mul_h1.backward(self.relu.backward(grad))
