"""Your sigmoid returns its derivative s(1 - s); the sheet asks for s itself.

zh: 你返回的是 sigmoid 的导数 s(1 - s)，题目要的是 s 本身。
"""

PART = "sigmoid"


def sigmoid(x):
    s = 1.0 / (1.0 + tf.exp(-x))
    return s * (1.0 - s)
