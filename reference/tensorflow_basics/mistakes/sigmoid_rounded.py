"""Your sigmoid rounds its result to 0 or 1; the sheet asks for the probability itself.

zh: 你把结果四舍五入成了 0 或 1，题目要的是概率本身。
"""

PART = "sigmoid"


def sigmoid(x):
    return tf.round(1.0 / (1.0 + tf.exp(-x)))
