"""Your sigmoid_ce subtracts its two terms from each other; both y log p and (1 - y) log(1 - p) are added before
the minus sign.

zh: 两项之间应当是加号：先把 y log p 与 (1 - y) log(1 - p) 相加，再取负。
"""

PART = "sigmoid_ce"

# Does not show where every label is 1, and equals sigmoid_ce_wrong_sign where every label is 0.


def sigmoid_ce(prob, label):
    return -tf.reduce_mean(label * tf.math.log(prob + 1e-12) - (1.0 - label) * tf.math.log(1.0 - prob + 1e-12))
