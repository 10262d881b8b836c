"""Your softmax_ce takes the logarithm to base 2; the sheet asks for the natural logarithm.

zh: 你用了以 2 为底的对数，题目要求自然对数。
"""

PART = "softmax_ce"


def softmax_ce(prob, label):
    log2 = tf.math.log(prob + 1e-12) / tf.math.log(tf.constant(2.0, dtype=prob.dtype))
    return -tf.reduce_mean(tf.reduce_sum(label * log2, axis=-1))
