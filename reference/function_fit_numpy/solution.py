"""Exemplary fit of a function: a two-layer network with a ReLU, its gradients by hand, full-batch gradient descent.

Arrays are float64, a batch is a stack of n rows. The bias of the hidden layer is the second row of W1: every x gets a
column of ones beside it. The loss is the mean squared error, so the gradient that enters from above is 2/n (preds - y).
"""

import numpy as np

POINTS, TEST_SHARE, NOISE = 600, 0.3, 0.01
HIDDEN, EPOCHS, STEP = 640, 500, 0.06


def target_fun(x):
    """x: any shape. Returns -2 / (2 + sin x) of the same shape, with uniform noise of at most 0.01 on each value."""
    return -2.0 / (2.0 + np.sin(x)) + np.random.uniform(-NOISE, NOISE, size=np.shape(x))


def generate_dataset():
    """Returns ((x_train, y_train), (x_test, y_test)), of shapes (420, 1) and (180, 1): drawn at random, disjoint."""
    x = np.random.uniform(-3.0, 3.0, size=(POINTS, 1))
    y = target_fun(x)
    order = np.random.permutation(POINTS)
    held_out = int(POINTS * TEST_SHARE)
    test, rest = order[:held_out], order[held_out:]
    return (x[rest], y[rest]), (x[test], y[test])


class Matmul:
    """The product x @ W."""

    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        """x: (n, d_in), W: (d_in, d_out). Returns (n, d_out)."""
        self.mem = {"x": x, "W": W}
        return np.matmul(x, W)

    def backward(self, grad_y):
        """grad_y: (n, d_out). Returns grad_x: (n, d_in) and grad_W: (d_in, d_out)."""
        x, W = self.mem["x"], self.mem["W"]
        return np.matmul(grad_y, W.T), np.matmul(x.T, grad_y)


class Relu:
    """The positive part, element by element. The gradient at exactly 0 is taken as 0."""

    def __init__(self):
        self.mem = {}

    def forward(self, x):
        """x: any shape. Returns max(x, 0)."""
        self.mem = {"x": x}
        return np.maximum(x, 0.0)

    def backward(self, grad_y):
        """grad_y: the shape of x. Returns grad_x, zero wherever x was not positive."""
        return np.where(self.mem["x"] > 0, grad_y, 0.0)


class myModel:
    """x -> [x, 1] W1 -> relu -> W2: one number for each row."""

    def __init__(self):
        self.W1 = 0.1 * np.random.normal(size=(2, HIDDEN))
        self.W2 = 0.1 * np.random.normal(size=(HIDDEN, 1))
        self.mul_h1, self.relu, self.mul_h2 = Matmul(), Relu(), Matmul()

    def forward(self, x):
        """x: (n, 1). Returns the predictions, (n, 1)."""
        x = np.concatenate([x, np.ones((x.shape[0], 1))], axis=1)
        self.h1 = self.mul_h1.forward(x, self.W1)
        self.h1_relu = self.relu.forward(self.h1)
        self.h2 = self.mul_h2.forward(self.h1_relu, self.W2)
        return self.h2

    def backward(self, preds, y):
        """preds, y: (n, 1). Fills W1_grad and W2_grad with the gradients of mean((preds - y)^2)."""
        grad_h2 = 2.0 / len(y) * (preds - y)
        grad_h1_relu, self.W2_grad = self.mul_h2.backward(grad_h2)
        _, self.W1_grad = self.mul_h1.backward(self.relu.backward(grad_h1_relu))


if __name__ == "__main__":
    (x_train, y_train), (x_test, y_test) = generate_dataset()
    model = myModel()
    for epoch in range(EPOCHS + 1):
        preds = model.forward(x_train)
        if epoch in (0, 50, 100, 200, 500):
            print(epoch, np.mean((preds - y_train) ** 2))
        model.backward(preds, y_train)
        model.W1 -= STEP * model.W1_grad
        model.W2 -= STEP * model.W2_grad
    print("held out:", np.mean((model.forward(x_test) - y_test) ** 2))
