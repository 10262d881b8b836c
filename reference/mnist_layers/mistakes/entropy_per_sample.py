"""Your CrossEntropy.forward gives a loss for every sample; one number is asked, their mean.

zh: CrossEntropy.forward 给出了每个样本各自的损失；题目只要一个数，即它们的平均值。
"""

PART = "CrossEntropy"


class CrossEntropy:
    def __init__(self):
        self.mem = {}

    def forward(self, p, y):
        self.mem = {"p": p}
        return np.sum(-y * np.log(p + EPSILON), axis=-1)

    def backward(self, y):
        return -y / (self.mem["p"] + EPSILON)
