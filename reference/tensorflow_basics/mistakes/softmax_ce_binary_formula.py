"""Your softmax_ce adds the term (1 - y) log(1 - p) of the binary loss; with one-hot labels only y log p is summed.

zh: 你把二分类的 (1 - y) log(1 - p) 也加了进来；one-hot 标签只需对 y log p 求和。
"""

PART = "softmax_ce"


def softmax_ce(prob, label):
    terms = label * tf.math.log(prob + 1e-12) + (1.0 - label) * tf.math.log(1.0 - prob + 1e-12)
    return -tf.reduce_mean(tf.reduce_sum(terms, axis=-1))
