"""Your softmax divides by the largest exponential of the row; the sheet asks to divide by their sum.

zh: 你除以了每行指数的最大值，应当除以每行指数的和。
"""

PART = "softmax"


def softmax(x):
    e = tf.exp(x)
    return e / tf.reduce_max(e, axis=-1, keepdims=True)
