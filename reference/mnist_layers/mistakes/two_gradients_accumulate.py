"""Your gradients add up from step to step; each backward has to begin anew, with = instead of +=.

zh: 梯度在各步之间一直累加；每次 backward 都要重新开始，用 = 而不是 +=。
"""

PART = "myModel"


class myModel:
    def __init__(self):
        self.W1 = np.random.normal(size=(785, 100))
        self.W2 = np.random.normal(size=(100, 10))
        self.fc1, self.relu1, self.fc2 = FullConnectionLayer(), Relu(), FullConnectionLayer()
        self.softmax, self.cross_entropy = Softmax(), CrossEntropy()
        self.W1_grad, self.W2_grad = np.zeros((785, 100)), np.zeros((100, 10))

    def forward(self, x):
        self.h1 = self.fc1.forward(with_ones(x), self.W1)
        self.h1_relu = self.relu1.forward(self.h1)
        self.h2 = self.fc2.forward(self.h1_relu, self.W2)
        self.h2_soft = self.softmax.forward(self.h2)
        return self.h2_soft

    def backward(self, label):
        self.loss = self.cross_entropy.forward(self.h2_soft, label)
        grad = self.softmax.backward(self.cross_entropy.backward(label))
        grad, W2_grad = self.fc2.backward(grad)
        _, W1_grad = self.fc1.backward(self.relu1.backward(grad))
        self.W1_grad += W1_grad
        self.W2_grad += W2_grad
