"""Your sigmoid_ce applies sigmoid to its argument, which already holds probabilities; take the logarithms
directly.

zh: 传进来的已经是概率，你又做了一次 sigmoid；直接取对数即可。
"""

PART = "sigmoid_ce"


def sigmoid_ce(prob, label):
    p = 1.0 / (1.0 + tf.exp(-prob))
    return -tf.reduce_mean(label * tf.math.log(p) + (1.0 - label) * tf.math.log(1.0 - p))
