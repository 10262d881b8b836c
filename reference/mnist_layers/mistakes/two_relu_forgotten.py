"""Your myModel has no ReLU between its two layers; two linear layers in a row are one linear layer.

zh: myModel 的两层之间没有 ReLU；两个线性层接在一起，仍然只是一个线性层。
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
        self.h2 = self.fc2.forward(self.h1, self.W2)
        self.h2_soft = self.softmax.forward(self.h2)
        return self.h2_soft

    def backward(self, label):
        self.loss = self.cross_entropy.forward(self.h2_soft, label)
        grad = self.softmax.backward(self.cross_entropy.backward(label))
        grad, self.W2_grad = self.fc2.backward(grad)
        _, self.W1_grad = self.fc1.backward(grad)
