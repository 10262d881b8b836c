"""Your softmax_ce takes the logarithm to base 10; the sheet asks for the natural logarithm.

zh: 你用了以 10 为底的对数，题目要求自然对数。
"""

PART = "softmax_ce"


def softmax_ce(prob, label):
    log10 = tf.math.log(prob + 1e-12) / tf.math.log(tf.constant(10.0, dtype=prob.dtype))
    return -tf.reduce_mean(tf.reduce_sum(label * log10, axis=-1))
