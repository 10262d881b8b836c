"""Your softmax subtracts the mean of each row, which still overflows for one very large logit; subtract the maximum.

zh: 你的 softmax 减去的是每行的平均值，某个 logit 特别大时仍会溢出；请减去最大值。
"""

PART = "softmax"


def softmax(x):
    x = tf.convert_to_tensor(x)
    e = tf.exp(x - tf.reduce_mean(x, axis=-1, keepdims=True))
    return e / tf.reduce_sum(e, axis=-1, keepdims=True)
