"""Your softmax_ce adds 0.1 inside the logarithm, which changes the loss; use a tiny constant such as 1e-12.

zh: 你在对数里加了 0.1，损失值因此变了；请用 1e-12 这样极小的数。
"""

PART = "softmax_ce"


def softmax_ce(prob, label):
    return -tf.reduce_mean(tf.reduce_sum(label * tf.math.log(prob + 0.1), axis=-1))
