import numpy as np
import torch

def target_fun(x):
    return -2 / (2 + np.sin(x)) + np.random.uniform(-0.01, 0.01, x.shape)


def generate_dataset():
    x = np.random.uniform(-3, 3, (600, 1))
    y = target_fun(x)
    idx = np.random.permutation(600)
    test, train = idx[:180], idx[180:]
    return (x[train], y[train]), (x[test], y[test])

class Matmul:
    def __init__(self):
        self.mem = {}

    def forward(self, x, W):
        h = np.matmul(x, W)
        self.mem = {'x': x, 'W': W}
        return h

    def backward(self, grad_y):
        x, W = self.mem['x'], self.mem['W']
        grad_x = np.matmul(grad_y, W.T)
        grad_W = np.matmul(x.T, grad_y)
        return grad_x, grad_W


class Relu:
    def __init__(self):
        self.mem = {}

    def forward(self, x):
        self.mem['x'] = x
        return np.where(x > 0, x, np.zeros_like(x))

    def backward(self, grad_y):
        return (self.mem['x'] > 0).astype(np.float32) * grad_y

class myModel:
    def __init__(self):
        self.W1 = np.random.normal(size=[2, 640]) * 0.1
        self.W2 = np.random.normal(size=[640, 1]) * 0.1
        self.mul_h1 = Matmul()
        self.mul_h2 = Matmul()
        self.relu = Relu()

    def forward(self, x):
        bias = np.ones(shape=[x.shape[0], 1])
        x = np.concatenate([x, bias], axis=1)
        self.h1 = self.mul_h1.forward(x, self.W1)
        self.h1_relu = self.relu.forward(self.h1)
        self.h2 = self.mul_h2.forward(self.h1_relu, self.W2)
        return self.h2

    def backward(self, preds, y):
        W1 = torch.tensor(self.W1, requires_grad=True)
        W2 = torch.tensor(self.W2, requires_grad=True)
        x = torch.tensor(self.mul_h1.mem['x'])
        loss = ((torch.relu(x @ W1) @ W2 - torch.tensor(y)) ** 2).mean()
        loss.backward()
        self.W1_grad, self.W2_grad = W1.grad.numpy(), W2.grad.numpy()
