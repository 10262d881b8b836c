"""HW2 function fitting: y = x^3, two-layer relu network, numpy only."""
import argparse

import numpy as np
from numpy.random import randn, uniform

N_POINTS = 600
N_HIDDEN = 640


def target_fun(x):
    return np.power(x, 3)


def generate_dataset():
    x = uniform(-3, 3, size=N_POINTS)
    is_test = np.zeros(N_POINTS, dtype=bool)
    is_test[np.random.choice(N_POINTS, int(N_POINTS * 0.3), replace=False)] = True
    x = x.reshape(-1, 1)
    y = target_fun(x)
    train = (x[~is_test], y[~is_test])
    test = (x[is_test], y[is_test])
    return train, test


class Matmul(object):
    def forward(self, x, W):
        self.x, self.W = x, W
        return x.dot(W)

    def backward(self, grad_y):
        return grad_y.dot(self.W.T), self.x.T.dot(grad_y)


class Relu(object):
    def forward(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, grad_y):
        return grad_y * self.mask


class myModel(object):
    def __init__(self, hidden=N_HIDDEN):
        self.W1 = 0.1 * randn(2, hidden)
        self.W2 = 0.1 * randn(hidden, 1)
        self.layer1, self.act, self.layer2 = Matmul(), Relu(), Matmul()

    def forward(self, x):
        self.h1 = self.layer1.forward(np.c_[x, np.ones(len(x))], self.W1)
        self.h1_relu = self.act.forward(self.h1)
        self.h2 = self.layer2.forward(self.h1_relu, self.W2)
        return self.h2

    def backward(self, preds, y):
        n = preds.shape[0]
        d_relu, self.W2_grad = self.layer2.backward((2.0 / n) * (preds - y))
        self.W1_grad = self.layer1.backward(self.act.backward(d_relu))[1]
        return self.W1_grad, self.W2_grad


parser = argparse.ArgumentParser()
parser.add_argument('--epochs', type=int, default=30000)
parser.add_argument('--lr', type=float, default=0.0005)
args = parser.parse_args()

(x_train, y_train), (x_test, y_test) = generate_dataset()
net = myModel()
best = np.inf
while best > 1e-3:
    out = net.forward(x_train)
    best = np.mean((out - y_train) ** 2)
    net.backward(out, y_train)
    net.W1 -= args.lr * net.W1_grad
    net.W2 -= args.lr * net.W2_grad
print('test mse', np.mean((net.forward(x_test) - y_test) ** 2))
