"""Two nets out of your own layers: 785-100-10 and 785-180-100-100-10. Given are Softmax and the first net's __init__.

Each layer keeps in self.mem whatever its backward will need. Batches are stacks of row vectors, float64.
"""

import numpy as np


class FullConnectionLayer:
    def __init__(self):
        self.mem = {}

    def forward(self, X, W):
        # X: (batch, d_in), W: (d_in, d_out). Return H = X @ W and keep X and W.
        raise NotImplementedError

    def backward(self, grad_H):
        # grad_H: (batch, d_out), the gradient of the loss with respect to H.
        # Return two arrays: grad_X (batch, d_in) and grad_W (d_in, d_out), in this order.
        raise NotImplementedError


class Relu:
    def __init__(self):
        self.mem = {}

    def forward(self, X):
        # Return max(X, 0), element by element, and keep X. Leave X itself as it is.
        raise NotImplementedError

    def backward(self, grad_H):
        # grad_H has the shape of X. Return grad_X.
        raise NotImplementedError


# Given: nothing to write here.
class Softmax:
    def __init__(self):
        self.mem = {}

    def forward(self, X):
        # X: (batch, classes) logits. The largest entry of each row is taken off first, so exp cannot overflow.
        e = np.exp(X - np.max(X, axis=-1, keepdims=True))
        p = e / np.sum(e, axis=-1, keepdims=True)
        self.mem["p"] = p
        return p

    def backward(self, grad_p):
        # The Jacobian of one row is diag(p) - p p^T; this is grad_p times it.
        p = self.mem["p"]
        return p * (grad_p - np.sum(p * grad_p, axis=-1, keepdims=True))


class CrossEntropy:
    def __init__(self):
        self.mem = {}

    def forward(self, p, y):
        # p: (batch, classes) probabilities, y: one-hot labels of the same shape.
        # Return one number: the mean over the batch of -sum y log(p + 1e-12). Keep what backward needs.
        raise NotImplementedError

    def backward(self, y):
        # Return the gradient with respect to p, an array of the shape of p: -y / (p + 1e-12).
        raise NotImplementedError


class myModel:
    def __init__(self):
        self.W1 = np.random.normal(size=(785, 100))
        self.W2 = np.random.normal(size=(100, 10))
        self.fc1, self.relu1, self.fc2 = FullConnectionLayer(), Relu(), FullConnectionLayer()
        self.softmax, self.cross_entropy = Softmax(), CrossEntropy()

    def forward(self, x):
        # x: (batch, 28, 28), pixels from 0 to 1. Flatten it and append a column of ones for the bias.
        # Fill self.h1, self.h1_relu, self.h2 and self.h2_soft; return self.h2_soft.
        raise NotImplementedError

    def backward(self, label):
        # label: (batch, 10), one-hot. Fill self.W1_grad and self.W2_grad for the last forward.
        raise NotImplementedError


class myModel2:
    def __init__(self):
        # 785-180-100-100-10: four weight matrices W1 to W4, and the layers.
        pass

    def forward(self, x):
        # As in myModel, with h1, h1_relu, h2, h2_relu, h3, h3_relu, h4 and h4_soft.
        raise NotImplementedError

    def backward(self, label):
        # Fill self.W1_grad to self.W4_grad.
        raise NotImplementedError


def train_one_step(model, x, y):
    # One step of gradient descent, step size 1e-4 for the summed loss, on every W of either net. Return the loss.
    raise NotImplementedError


if __name__ == "__main__":
    # A look at your own answers. The grader does not run this part.
    x = np.random.uniform(size=(8, 28, 28))
    y = np.eye(10)[np.random.randint(0, 10, size=8)]
    for model in (myModel(), myModel2()):
        try:
            for _ in range(3):
                print(type(model).__name__, "loss:", train_one_step(model, x, y))
        except NotImplementedError:
            print(type(model).__name__, "is not finished yet")
