"""Your compute_loss expects one-hot labels, but is handed class numbers, shape (N,); use the sparse cross entropy, or
tf.one_hot(labels, 10).

zh: 你的 compute_loss 需要 one-hot 标签，而传进来的是类别编号，形状 (N,)；请用 sparse 版的交叉熵，或先转换成 one-hot。
"""

PART = "loss"


def compute_loss(logits, labels):
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits))
