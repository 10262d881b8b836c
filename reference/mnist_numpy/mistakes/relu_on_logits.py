"""Your h2 went through a Relu, so no logit can be negative; the softmax takes h1_relu @ W2 as it is.

zh: h2 又经过了一次 Relu，logits 不能为负；softmax 应当直接作用在 h1_relu @ W2 上。
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
        self.h2 = np.maximum(self.mul_h2.forward(self.h1_relu, self.W2), 0.0)
        self.h2_soft = self.softmax.forward(self.h2)
        self.h2_log = self.log.forward(self.h2_soft)

    def backward(self, label):
        grad = self.softmax.backward(self.log.backward(-label))
        grad = np.where(self.h2 > 0, grad, 0.0)
        grad, self.W2_grad = self.mul_h2.backward(grad)
        _, self.W1_grad = self.mul_h1.backward(self.relu.backward(grad))
