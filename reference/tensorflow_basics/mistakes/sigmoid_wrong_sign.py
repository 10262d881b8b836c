"""Your sigmoid takes exp(x) in the denominator; it should be exp(-x), so that large x gives values near 1.

zh: 分母里应当是 exp(-x)，你写成了 exp(x)，大小关系反了。
"""

PART = "sigmoid"


def sigmoid(x):
    return 1.0 / (1.0 + tf.exp(x))
