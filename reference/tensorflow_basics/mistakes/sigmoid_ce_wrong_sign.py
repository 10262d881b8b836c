"""Your sigmoid_ce is negative: the minus sign in front of the mean is missing.

zh: 你的 sigmoid_ce 是负数：取平均之前漏了负号。
"""

PART = "sigmoid_ce"


def sigmoid_ce(prob, label):
    return tf.reduce_mean(label * tf.math.log(prob + 1e-12) + (1.0 - label) * tf.math.log(1.0 - prob + 1e-12))
