"""Your myModel ends in a ReLU instead of a softmax, so the cross entropy gets numbers that are no probabilities: 0
lets no gradient through, and above 1 the loss turns negative. Trained so from N(0, 1) weights, the net ends at 0.1 to
0.2.

zh: myModel 最后接的是 ReLU 而不是 softmax，交叉熵拿到的不是概率：为 0 时梯度传不过去，大于 1 时损失变成负
数。从 N(0, 1) 的权重这样训练，正确率只有 0.1 到 0.2。
"""

PART = "myModel"


class myModel:
    def __init__(self):
        self.W1 = np.random.normal(size=(785, 100))
        self.W2 = np.random.normal(size=(100, 10))
        self.fc1, self.relu1, self.fc2 = FullConnectionLayer(), Relu(), FullConnectionLayer()
        self.softmax, self.cross_entropy = Softmax(), CrossEntropy()
        self.relu2 = Relu()

    def forward(self, x):
        self.h1 = self.fc1.forward(with_ones(x), self.W1)
        self.h1_relu = self.relu1.forward(self.h1)
        self.h2 = self.fc2.forward(self.h1_relu, self.W2)
        self.h2_soft = self.relu2.forward(self.h2)
        return self.h2_soft

    def backward(self, label):
        self.loss = self.cross_entropy.forward(self.h2_soft, label)
        grad = self.relu2.backward(self.cross_entropy.backward(label))
        grad, self.W2_grad = self.fc2.backward(grad)
        _, self.W1_grad = self.fc1.backward(self.relu1.backward(grad))
