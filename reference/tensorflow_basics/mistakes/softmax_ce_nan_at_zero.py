"""Your softmax_ce returns NaN when a probability is exactly 0, because 0 * log(0) is NaN; add a tiny constant
inside the logarithm.

zh: 概率恰好为 0 时，0 * log(0) 得到 NaN；在对数里加一个极小的数。
"""

PART = "softmax_ce"

# Shows only where a probability is exactly 0.


def softmax_ce(prob, label):
    return -tf.reduce_mean(tf.reduce_sum(label * tf.math.log(prob), axis=-1))
