"""Your softmax uses powers of 2; the sheet asks for powers of e, which is tf.exp.

zh: 你用的是 2 的幂，题目要求以 e 为底，也就是 tf.exp。
"""

PART = "softmax"


def softmax(x):
    e = tf.pow(tf.constant(2.0, dtype=tf.float64), x)
    return e / tf.reduce_sum(e, axis=-1, keepdims=True)
