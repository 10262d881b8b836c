"""Your myModel has no column of ones beside the pixels, so it has no bias.

zh: myModel 没有在像素旁边接一列 1，所以没有偏置。
"""

PART = "myModel"


class myModel:
    def __init__(self):
        self.W1 = np.random.normal(size=(784, 100))
        self.W2 = np.random.normal(size=(100, 10))
        self.fc1, self.relu1, self.fc2 = FullConnectionLayer(), Relu(), FullConnectionLayer()
        self.softmax, self.cross_entropy = Softmax(), CrossEntropy()

    def forward(self, x):
        self.h1 = self.fc1.forward(x.reshape(len(x), -1), self.W1)
        self.h1_relu = self.relu1.forward(self.h1)
        self.h2 = self.fc2.forward(self.h1_relu, self.W2)
        self.h2_soft = self.softmax.forward(self.h2)
        return self.h2_soft

    def backward(self, label):
        self.loss = self.cross_entropy.forward(self.h2_soft, label)
        grad = self.softmax.backward(self.cross_entropy.backward(label))
        grad, self.W2_grad = self.fc2.backward(grad)
        _, self.W1_grad = self.fc1.backward(self.relu1.backward(grad))
