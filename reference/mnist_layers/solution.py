"""Exemplary layers and the two nets that are made of them: 785-100-10 and 785-180-100-100-10.

Batches are stacks of row vectors, float64. Every layer keeps in self.mem what its backward needs; a net therefore has
one object for every layer, because the derivative of each is taken at the values that went through it.

CrossEntropy.forward is a mean over the batch, and its backward gives -y / (p + eps), the gradient of the sum: the 1/N
of the mean is left out, as in the report that the sheet follows. The step size of 1e-4 belongs to this sum.
"""

import numpy as np

EPSILON = 1e-12
LEARNING_RATE = 1e-4


class FullConnectionLayer:
    """The product X @ W of a batch with a weight matrix."""

    def __init__(self):
        self.mem = {}

    def forward(self, X, W):
        """X: (batch, d_in), W: (d_in, d_out). Returns H: (batch, d_out)."""
        self.mem = {"X": X, "W": W}
        return X @ W

    def backward(self, grad_H):
        """grad_H: (batch, d_out). Returns grad_X: (batch, d_in) and grad_W: (d_in, d_out)."""
        X, W = self.mem["X"], self.mem["W"]
        return grad_H @ W.T, X.T @ grad_H


class Relu:
    """The positive part, element by element. The gradient at exactly 0 is taken as 0."""

    def __init__(self):
        self.mem = {}

    def forward(self, X):
        """X: any shape. Returns max(X, 0)."""
        self.mem = {"X": X}
        return np.maximum(X, 0.0)

    def backward(self, grad_H):
        """grad_H: the shape of X. Returns grad_X, zero wherever X was not positive."""
        return np.where(self.mem["X"] > 0, grad_H, 0.0)


class Softmax:
    """Probabilities over the last axis."""

    def __init__(self):
        self.mem = {}

    def forward(self, X):
        """X: (batch, classes) logits. Returns p of the same shape, every row sums to 1."""
        e = np.exp(X - np.max(X, axis=-1, keepdims=True))
        p = e / np.sum(e, axis=-1, keepdims=True)
        self.mem = {"p": p}
        return p

    def backward(self, grad_p):
        """grad_p: (batch, classes). Returns grad_X of the same shape."""
        p = self.mem["p"]
        return p * (grad_p - np.sum(p * grad_p, axis=-1, keepdims=True))


class CrossEntropy:
    """The cross entropy between probabilities and labels, averaged over the batch."""

    def __init__(self):
        self.mem = {}

    def forward(self, p, y):
        """p: (batch, classes) probabilities, y: the same shape, one-hot. Returns a number, in nats."""
        self.mem = {"p": p}
        return np.mean(np.sum(-y * np.log(p + EPSILON), axis=-1))

    def backward(self, y):
        """y: (batch, classes), one-hot. Returns the gradient of the summed loss with respect to p, the shape of p."""
        return -y / (self.mem["p"] + EPSILON)


def with_ones(x):
    """x: (batch, 28, 28) or (batch, 784). Returns (batch, 785): the pixels and a last column of ones for the bias."""
    flat = x.reshape(x.shape[0], -1)
    return np.concatenate([flat, np.ones((x.shape[0], 1))], axis=1)


class myModel:
    """785-100-10 with a ReLU between and a softmax at the end."""

    def __init__(self):
        self.W1 = np.random.normal(size=(785, 100))
        self.W2 = np.random.normal(size=(100, 10))
        self.fc1, self.relu1, self.fc2 = FullConnectionLayer(), Relu(), FullConnectionLayer()
        self.softmax, self.cross_entropy = Softmax(), CrossEntropy()

    def forward(self, x):
        """x: (batch, 28, 28). Returns the probabilities, (batch, 10), which are also in h2_soft."""
        self.h1 = self.fc1.forward(with_ones(x), self.W1)
        self.h1_relu = self.relu1.forward(self.h1)
        self.h2 = self.fc2.forward(self.h1_relu, self.W2)
        self.h2_soft = self.softmax.forward(self.h2)
        return self.h2_soft

    def backward(self, label):
        """label: (batch, 10), one-hot. Sets W1_grad and W2_grad, and loss to that of the last forward."""
        self.loss = self.cross_entropy.forward(self.h2_soft, label)
        grad = self.softmax.backward(self.cross_entropy.backward(label))
        grad, self.W2_grad = self.fc2.backward(grad)
        _, self.W1_grad = self.fc1.backward(self.relu1.backward(grad))


class myModel2:
    """785-180-100-100-10 with a ReLU after each of the first three layers and a softmax at the end."""

    def __init__(self):
        self.W1 = np.random.normal(size=(785, 180))
        self.W2 = np.random.normal(size=(180, 100))
        self.W3 = np.random.normal(size=(100, 100))
        self.W4 = np.random.normal(size=(100, 10))
        self.fc1, self.fc2, self.fc3, self.fc4 = (FullConnectionLayer() for _ in range(4))
        self.relu1, self.relu2, self.relu3 = Relu(), Relu(), Relu()
        self.softmax, self.cross_entropy = Softmax(), CrossEntropy()

    def forward(self, x):
        """x: (batch, 28, 28). Returns the probabilities, (batch, 10), which are also in h4_soft."""
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
        """label: (batch, 10), one-hot. Sets W1_grad to W4_grad, and loss to that of the last forward."""
        self.loss = self.cross_entropy.forward(self.h4_soft, label)
        grad = self.softmax.backward(self.cross_entropy.backward(label))
        grad, self.W4_grad = self.fc4.backward(grad)
        grad, self.W3_grad = self.fc3.backward(self.relu3.backward(grad))
        grad, self.W2_grad = self.fc2.backward(self.relu2.backward(grad))
        _, self.W1_grad = self.fc1.backward(self.relu1.backward(grad))


def train_one_step(model, x, y):
    """One step of gradient descent on all weights of either net. Returns the loss before the step.

    model: a myModel or a myModel2. x: (batch, 28, 28), y: (batch, 10), one-hot.
    """
    model.forward(x)
    model.backward(y)
    for name in ("W1", "W2", "W3", "W4"):
        if hasattr(model, name):
            setattr(model, name, getattr(model, name) - LEARNING_RATE * getattr(model, f"{name}_grad"))
    return model.loss
