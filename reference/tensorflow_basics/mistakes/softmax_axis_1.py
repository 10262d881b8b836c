"""Your softmax normalises over axis 1; the sheet asks for the last axis, which is axis -1 for any number of axes.

zh: 你的 softmax 固定沿第 1 维归一化，题目要求的是最后一维，请写 axis=-1。
"""

PART = "softmax"

# Shows only on inputs without exactly two axes: other values with three, InvalidArgumentError with one.


def softmax(x):
    e = tf.exp(x - tf.reduce_max(x, axis=1, keepdims=True))
    return e / tf.reduce_sum(e, axis=1, keepdims=True)
