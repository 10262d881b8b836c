"""Your CrossEntropy.forward averages over the batch and the classes; sum over the classes first, then average over the
batch.

zh: CrossEntropy.forward 把批和类别一起取了平均；应当先对类别求和，再对批取平均。
"""

PART = "CrossEntropy"


class CrossEntropy:
    def __init__(self):
        self.mem = {}

    def forward(self, p, y):
        self.mem = {"p": p}
        return np.mean(-y * np.log(p + EPSILON))

    def backward(self, y):
        return -y / (self.mem["p"] + EPSILON)
