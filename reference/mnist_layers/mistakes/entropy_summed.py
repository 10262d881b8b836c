"""Your CrossEntropy.forward sums over the batch; the sheet asks for the mean.

zh: CrossEntropy.forward 对整批求了和，题目要求取平均。
"""

PART = "CrossEntropy"


class CrossEntropy:
    def __init__(self):
        self.mem = {}

    def forward(self, p, y):
        self.mem = {"p": p}
        return np.sum(-y * np.log(p + EPSILON))

    def backward(self, y):
        return -y / (self.mem["p"] + EPSILON)
