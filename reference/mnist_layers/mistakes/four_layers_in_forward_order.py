"""Your myModel2.backward begins with the first layer; the chain rule goes from the last layer to the first.

zh: myModel2.backward 从第一层开始算；链式法则要从最后一层走到第一层。
"""

PART = "myModel2"


class myModel2:
    def __init__(self):
        self.W1 = np.random.normal(size=(785, 180))
        self.W2 = np.random.normal(size=(180, 100))
        self.W3 = np.random.normal(size=(100, 100))
        self.W4 = np.random.normal(size=(100, 10))
        self.fc1, self.fc2, self.fc3, self.fc4 = (FullConnectionLayer() for _ in range(4))
        self.relu1, self.relu2, self.relu3 = Relu(), Relu(), Relu()
        self.softmax, self.cross_entropy = Softmax(), CrossEntropy()

    def forward(self, x):
        self.h1 = self.fc1.forward(with_ones(x), self.W1)
        self.h1_relu = self.relu1.forward(self.h1)
        self.h2 = self.fc2.forward(self.h1_relu, self.W2)
        self.h2_relu = self.relu2.forward(self.h2)
        self.h3 = self.fc3.forward(self.h2_relu, self.W3)
        self.h3_relu = self.relu3.forward(self.h3)
        self.h4 = self.fc4.forward(self.h3_relu, self.W4)
        self.h4_soft = self.softmax.forward(self.h4)
        return self.h4_soft

    def backward(self, label):
        self.loss = self.cross_entropy.forward(self.h4_soft, label)
        grad = self.softmax.backward(self.cross_entropy.backward(label))
        grad, self.W1_grad = self.fc1.backward(grad)
        grad, self.W2_grad = self.fc2.backward(self.relu1.backward(grad))
        grad, self.W3_grad = self.fc3.backward(self.relu2.backward(grad))
        _, self.W4_grad = self.fc4.backward(self.relu3.backward(grad))
