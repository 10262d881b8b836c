"""Your sigmoid_ce returns NaN when a probability is exactly 0 or 1, because 0 * log(0) is NaN; add a tiny
constant inside both logarithms.

zh: 概率恰好为 0 或 1 时，0 * log(0) 得到 NaN；在两个对数里都加一个极小的数。
"""

PART = "sigmoid_ce"

# Shows only where a probability is exactly 0 or 1.


def sigmoid_ce(prob, label):
    return -tf.reduce_mean(label * tf.math.log(prob) + (1.0 - label) * tf.math.log(1.0 - prob))
