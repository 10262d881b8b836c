"""A two-layer network on MNIST with NumPy: write forward and backward of myModel and the functions below it.

The four layers are given. Each keeps in self.mem what its backward needs. Batches are stacks of row vectors, float64.
"""

import numpy as np


# Given: nothing to write in these four classes. Your own from the sheet before this one will do as well.
class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        self.mem = {"x": x, "W": W}
        return np.matmul(x, W)

    def backward(self, grad_y):
        # Returns two arrays: the gradient of x, and that of W.
        x, W = self.mem["x"], self.mem["W"]
        return np.matmul(grad_y, W.T), np.matmul(x.T, grad_y)


class Relu:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        self.mem = {"x": x}
        return np.maximum(x, 0.0)

    def backward(self, grad_y):
        return np.where(self.mem["x"] > 0, grad_y, 0.0)


class Softmax:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        out = e / np.sum(e, axis=-1, keepdims=True)
        self.mem = {"out": out}
        return out

    def backward(self, grad_y):
        s = self.mem["out"]
        return s * (grad_y - np.sum(s * grad_y, axis=-1, keepdims=True))


class Log:
    def __init__(self):
        self.epsilon = 1e-12
        self.mem = {}

    def forward(self, x):
        self.mem = {"x": x}
        return np.log(x + self.epsilon)

    def backward(self, grad_y):
        return grad_y / (self.mem["x"] + self.epsilon)


class myModel:
    def __init__(self):
        self.W1 = np.random.normal(size=(28 * 28 + 1, 100))  # the row more is the bias
        self.W2 = np.random.normal(size=(100, 10))
        self.mul_h1, self.mul_h2 = Matmul(), Matmul()
        self.relu, self.softmax, self.log = Relu(), Softmax(), Log()

    def forward(self, x):
        # x: (batch, 28, 28) or (batch, 784). Flatten it, add a column of ones, and fill
        # self.h1, self.h1_relu (batch, 100), self.h2, self.h2_soft, self.h2_log (batch, 10).
        raise NotImplementedError

    def backward(self, label):
        # label: (batch, 10), one-hot. The loss is -sum(label * self.h2_log), summed over the batch.
        # Go back through the layers of the last forward, and fill self.W1_grad and self.W2_grad.
        raise NotImplementedError


def compute_loss(log_prob, labels):
    # Both (batch, 10). Return the mean over the batch.
    raise NotImplementedError


def compute_accuracy(log_prob, labels):
    # Both (batch, 10). Return the share of rows that are classified correctly, from 0 to 1.
    raise NotImplementedError


def train_one_step(model, x, y):
    # forward, backward, then W1 and W2 one step of 1e-5 down their gradients. Return loss, accuracy.
    raise NotImplementedError


def test(model, x, y):
    # Return loss, accuracy. Nothing is learned here.
    raise NotImplementedError


if __name__ == "__main__":
    # Your own training run. The grader does not run this part; it brings digits and weights of its own.
    with np.load("mnist.npz") as data:
        x_train, x_test = data["x_train"] / 255.0, data["x_test"] / 255.0
        y_train, y_test = np.eye(10)[data["y_train"]], np.eye(10)[data["y_test"]]
    model = myModel()
    for epoch in range(50):
        loss, accuracy = train_one_step(model, x_train, y_train)
        print("epoch", epoch, "loss", loss, "accuracy", accuracy)
    print("test:", test(model, x_test, y_test))
