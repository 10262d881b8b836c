"""Your gradients are added to those of the step before; each backward starts from zero.

zh: 梯度累加在上一步的梯度上了；每次 backward 都要重新计算。
"""

PART = "training"

# Shows only from the second backward of one model on.


class myModel:
    def __init__(self):
        self.W1 = np.random.normal(size=(28 * 28 + 1, 100))
        self.W2 = np.random.normal(size=(100, 10))
        self.mul_h1, self.mul_h2 = Matmul(), Matmul()
        self.W1_grad, self.W2_grad = 0.0, 0.0
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
        grad, grad_W2 = self.mul_h2.backward(grad)
        _, grad_W1 = self.mul_h1.backward(self.relu.backward(grad))
        self.W1_grad, self.W2_grad = self.W1_grad + grad_W1, self.W2_grad + grad_W2
