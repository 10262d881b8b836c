import numpy as np

LR = 1e-4


class FullConnectionLayer:
    def __init__(self):
        self.mem = dict()

    def forward(self, X, W):
        self.mem.update(X=X, W=W)
        return np.dot(X, W)

    def backward(self, grad_H):
        grad_X = np.dot(grad_H, self.mem["W"].transpose())
        grad_W = np.dot(self.mem["X"].transpose(), grad_H)
        return [grad_X, grad_W]


class Relu:
    def forward(self, X):
        self.out = np.clip(X, 0, None)
        return self.out

    def backward(self, grad_H):
        return np.where(self.out > 0, grad_H, 0)


class Softmax:
    def forward(self, x):
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        self.s = e / np.sum(e, axis=-1, keepdims=True)
        return self.s

    def backward(self, g):
        return self.s * g - self.s * np.sum(self.s * g, axis=-1, keepdims=True)


class CrossEntropy:
    def forward(self, p, y):
        self.p = np.clip(p, 1e-10, 1)
        return float(np.mean(-np.log(np.sum(self.p * y, axis=1))))

    def backward(self, y):
        return -y / self.p


class myModel:
    layers = 2

    def __init__(self, sizes=(785, 100, 10)):
        self.fc = [FullConnectionLayer() for _ in sizes[1:]]
        self.relu = [Relu() for _ in sizes[2:]]
        self.soft, self.ce = Softmax(), CrossEntropy()
        for i in range(len(sizes) - 1):
            self.__dict__[f"W{i + 1}"] = 0.05 * np.random.standard_normal((sizes[i], sizes[i + 1]))

    def forward(self, x, labels):
        n = x.shape[0]
        out = np.hstack((x.reshape(n, -1), np.ones((n, 1))))
        for i, fc in enumerate(self.fc):
            out = fc.forward(out, self.__dict__[f"W{i + 1}"])
            out = self.relu[i].forward(out) if i < len(self.relu) else self.soft.forward(out)
        self.__dict__[f"h{len(self.fc)}_soft"] = out
        self.loss = self.ce.forward(out, labels)
        return self.loss

    def backward(self, labels):
        grad = self.soft.backward(self.ce.backward(labels))
        for i in reversed(range(len(self.fc))):
            grad, self.__dict__[f"W{i + 1}_grad"] = self.fc[i].backward(grad)
            if i:
                grad = self.relu[i - 1].backward(grad)


class myModel2(myModel):
    def __init__(self):
        super().__init__((785, 180, 100, 100, 10))


def train_one_step(model, x, y):
    loss = model.forward(x, y)
    model.backward(y)
    for i in range(len(model.fc)):
        model.__dict__[f"W{i + 1}"] = model.__dict__[f"W{i + 1}"] - LR * model.__dict__[f"W{i + 1}_grad"]
    return loss


if __name__ == "__main__":
    m = myModel()
    for epoch in range(500000):
        print(train_one_step(m, np.random.rand(5, 784), np.eye(10)[:5]))
