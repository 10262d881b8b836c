"""Homework 3. I write p - y directly and use the mean loss, so my learning rate is 1e-4 times the number of images."""
import numpy as np


class FullConnectionLayer(object):
    def forward(self, X, W):
        self.X, self.W = X, W
        return X.dot(W)

    def backward(self, grad_H):
        return grad_H.dot(self.W.T), self.X.T.dot(grad_H)


class Relu(object):
    def forward(self, X):
        self.mask = X > 0
        return X * self.mask

    def backward(self, grad):
        return grad * self.mask


class CrossEntropy(object):
    eps = 1e-12

    def forward(self, p, y):
        self.p = p
        return -(y * np.log(p + self.eps)).sum() / y.shape[0]

    def backward(self, y):
        return -y / (self.p + self.eps) / y.shape[0]


def softmax(z):
    e = np.exp(z - z.max(1)[:, None])
    return e / e.sum(1)[:, None]


def prepare(x):
    return np.c_[np.ones(len(x)), x.reshape(len(x), 784)]


class Net:
    sizes = ()

    def __init__(self):
        for i, (n, m) in enumerate(zip(self.sizes, self.sizes[1:]), start=1):
            setattr(self, "W%d" % i, np.random.randn(n, m))

    @property
    def depth(self):
        return len(self.sizes) - 1

    def forward(self, x):
        self.a = [prepare(x)]
        for i in range(1, self.depth):
            h = self.a[-1] @ getattr(self, "W%d" % i)
            setattr(self, "h%d" % i, h)
            self.a.append(np.maximum(h, 0))
        self.p = softmax(self.a[-1] @ getattr(self, "W%d" % self.depth))
        return self.p

    def backward(self, label):
        d = (self.p - label) / len(label)
        for i in range(self.depth, 0, -1):
            setattr(self, "W%d_grad" % i, self.a[i - 1].T @ d)
            if i > 1:
                d = (d @ getattr(self, "W%d" % i).T) * (self.a[i - 1] > 0)


class myModel(Net):
    sizes = (785, 100, 10)


class myModel2(Net):
    sizes = (785, 180, 100, 100, 10)


def train_one_step(model, x, y, lr=1e-4):
    p = model.forward(x)
    model.backward(y)
    for i in range(1, model.depth + 1):
        w = getattr(model, "W%d" % i)
        w -= lr * len(x) * getattr(model, "W%d_grad" % i)
    return CrossEntropy().forward(p, y)
