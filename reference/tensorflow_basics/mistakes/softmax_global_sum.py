"""Your softmax divides by the sum over the whole array; each row (the last axis) needs a sum of its own.

zh: 你的 softmax 除以了整个数组的和；应当每一行（最后一维）各除以自己的和。
"""

PART = "softmax"


def softmax(x):
    e = tf.exp(x)
    return e / tf.reduce_sum(e)
