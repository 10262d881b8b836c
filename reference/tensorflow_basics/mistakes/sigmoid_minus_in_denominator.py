"""Your sigmoid has 1 - exp(-x) in the denominator; it should be 1 + exp(-x).

zh: 分母应当是 1 + exp(-x)，你写成了 1 - exp(-x)。
"""

PART = "sigmoid"


def sigmoid(x):
    return 1.0 / (1.0 - tf.exp(-x))
