"""Your softmax_ce is negative: the minus sign in front of the sum is missing.

zh: 你的 softmax_ce 是负数：求和前面漏了负号。
"""

PART = "softmax_ce"


def softmax_ce(prob, label):
    return tf.reduce_mean(tf.reduce_sum(label * tf.math.log(prob + 1e-12), axis=-1))
