"""Your gradients are divided by the batch size twice: CrossEntropy.backward does it already. Once, or not at all, is
right.

zh: 梯度除了两次批大小：CrossEntropy.backward 里已经除过一次。除一次或不除都对，除两次不对。
"""

PART = "myModel"


class myModel:
    def __init__(self):
        self.W1 = np.random.normal(size=(785, 100))
        self.W2 = np.random.normal(size=(100, 10))
        self.fc1, self.relu1, self.fc2 = FullConnectionLayer(), Relu(), FullConnectionLayer()
        self.softmax, self.cross_entropy = Softmax(), CrossEntropy()

    def forward(self, x):
        self.h1 = self.fc1.forward(with_ones(x), self.W1)
        self.h1_relu = self.relu1.forward(self.h1)
        self.h2 = self.fc2.forward(self.h1_relu, self.W2)
        self.h2_soft = self.softmax.forward(self.h2)
        return self.h2_soft

    def backward(self, label):
        self.loss = self.cross_entropy.forward(self.h2_soft, label)
        grad = self.softmax.backward(self.cross_entropy.backward(label) / len(label))
        grad, self.W2_grad = self.fc2.backward(grad)
        _, self.W1_grad = self.fc1.backward(self.relu1.backward(grad))
        self.W1_grad, self.W2_grad = self.W1_grad / len(label), self.W2_grad / len(label)
