"""Your softmax divides the logits by their sum without taking exp first, so values can be negative.

zh: 你直接用 logits 除以它们的和，忘了先取指数，结果可能是负数。
"""

PART = "softmax"


def softmax(x):
    return x / tf.reduce_sum(x, axis=-1, keepdims=True)
