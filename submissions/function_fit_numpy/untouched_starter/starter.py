"""Fit a function with a two-layer network written by hand in NumPy.

Arrays are float64; a batch is a stack of n rows. You may fit another function than the sheet's: target_fun is yours.
"""

import numpy as np


def target_fun(x):
    # x: an array of any shape. Return -2 / (2 + sin x), each value plus uniform noise from (-0.01, 0.01).
    raise NotImplementedError


def generate_dataset():
    # 600 points with x in (-3, 3); 30 % of them, drawn at random, are the test set and never train.
    # Return (x_train, y_train), (x_test, y_test), every array of shape (n, 1).
    raise NotImplementedError


class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        # x: (n, d_in), W: (d_in, d_out). Return x @ W and keep what backward needs.
        raise NotImplementedError

    def backward(self, grad_y):
        # grad_y: (n, d_out). Return grad_x (n, d_in) and grad_W (d_in, d_out), in this order.
        raise NotImplementedError


class Relu:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        # Return max(x, 0), element by element.
        raise NotImplementedError

    def backward(self, grad_y):
        # Which entries of grad_y get through?
        raise NotImplementedError


class myModel:
    def __init__(self):
        # self.W1: (2, 640), self.W2: (640, 1), both 0.1 times standard normal numbers. Make your layers here too.
        raise NotImplementedError

    def forward(self, x):
        # x: (n, 1). Put a column of ones beside x: it makes the second row of W1 the bias.
        # Fill self.h1, self.h1_relu, self.h2 and return self.h2, the predictions (n, 1).
        raise NotImplementedError

    def backward(self, preds, y):
        # preds: what forward returned; y: (n, 1). The loss is the mean of (preds - y) ** 2.
        # Fill self.W1_grad and self.W2_grad; each has the shape of its weights.
        raise NotImplementedError


if __name__ == "__main__":
    # Your own training. The grader does not run this part: it trains with your forward and backward itself.
    (x_train, y_train), (x_test, y_test) = generate_dataset()
    model = myModel()
    step = 0.06
    for epoch in range(501):
        preds = model.forward(x_train)
        if epoch in (0, 50, 100, 200, 500):
            print(epoch, np.mean((preds - y_train) ** 2))
        model.backward(preds, y_train)
        model.W1 -= step * model.W1_grad
        model.W2 -= step * model.W2_grad
    print("test:", np.mean((model.forward(x_test) - y_test) ** 2))
