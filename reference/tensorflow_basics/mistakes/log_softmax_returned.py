"""Your softmax returns the logarithm of the probabilities; the sheet asks for the probabilities themselves.

zh: 你返回的是概率的对数，题目要求返回概率本身。
"""

PART = "softmax"


def softmax(x):
    return x - tf.reduce_logsumexp(x, axis=-1, keepdims=True)
