"""Your softmax subtracts the maximum from the array it is given, in place; make a new array.

zh: 你的 softmax 直接在传入的数组上减去最大值，把输入改掉了；请新建一个数组。
"""

PART = "softmax"


def softmax(x):
    x -= x.max(axis=-1, keepdims=True)
    e = tf.exp(x)
    return e / tf.reduce_sum(e, axis=-1, keepdims=True)
