"""Your sigmoid_ce pairs the label with log(1 - p) and 1 - label with log p; it is the other way round.

zh: 两项配反了：标签应当乘 log p，1 - 标签应当乘 log(1 - p)。
"""

PART = "sigmoid_ce"


def sigmoid_ce(prob, label):
    return -tf.reduce_mean(label * tf.math.log(1.0 - prob + 1e-12) + (1.0 - label) * tf.math.log(prob + 1e-12))
