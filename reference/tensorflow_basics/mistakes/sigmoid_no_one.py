"""Your sigmoid leaves out the 1 in the denominator: it is 1 / (1 + exp(-x)), not 1 / exp(-x).

zh: 分母里漏了 1：应当是 1 / (1 + exp(-x))，而不是 1 / exp(-x)。
"""

PART = "sigmoid"


def sigmoid(x):
    return 1.0 / tf.exp(-x)
