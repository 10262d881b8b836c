"""Your CrossEntropy.backward returns p - y. That is the gradient of the logits, softmax included; this layer gives the
gradient of p, and Softmax.backward does the rest.

zh: CrossEntropy.backward 返回的是 p - y，那是连 softmax 一起求导、对 logits 的梯度；这一层只给出对 p 的梯
度，其余交给 Softmax.backward。
"""

PART = "CrossEntropy"


class CrossEntropy:
    def __init__(self):
        self.mem = {}

    def forward(self, p, y):
        self.mem = {"p": p}
        return np.mean(np.sum(-y * np.log(p + EPSILON), axis=-1))

    def backward(self, y):
        return self.mem["p"] - y
