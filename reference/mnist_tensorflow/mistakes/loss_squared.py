"""Your compute_loss is the squared error between logits and one-hot labels; the sheet asks for the cross entropy.

zh: 你写的是 logits 与 one-hot 标签的平方误差，题目要的是交叉熵。
"""

PART = "loss"


def compute_loss(logits, labels):
    return tf.reduce_mean((logits - tf.one_hot(labels, 10)) ** 2)
