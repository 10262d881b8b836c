"""Your softmax normalises over axis 0; the sheet asks for the last axis.

zh: 你的 softmax 沿第 0 维归一化了，题目要求的是最后一维。
"""

PART = "softmax"


def softmax(x):
    e = tf.exp(x)
    return e / tf.reduce_sum(e, axis=0, keepdims=True)
