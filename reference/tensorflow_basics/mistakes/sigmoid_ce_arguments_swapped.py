"""Your sigmoid_ce has its two arguments swapped: it takes the logarithm of the label and multiplies it by the
probability.

zh: 两个参数用反了：你对标签取了对数，再乘以概率。
"""

PART = "sigmoid_ce"


def sigmoid_ce(prob, label):
    return -tf.reduce_mean(prob * tf.math.log(label + 1e-12) + (1.0 - prob) * tf.math.log(1.0 - label + 1e-12))
