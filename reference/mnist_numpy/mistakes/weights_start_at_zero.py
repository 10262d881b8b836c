"""Your weights start at zero, where every hidden unit gives 0 and no gradient comes through; start with random
numbers.

zh: 权重从零开始，每个隐藏单元都输出 0，梯度也传不过来；请用随机数初始化。
"""

PART = "robustness"


class myModel:
    def __init__(self):
        self.W1 = np.zeros((28 * 28 + 1, 100))
        self.W2 = np.zeros((100, 10))
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
        _, self.W1_grad = self.mul_h1.backward(self.relu.backward(grad))
