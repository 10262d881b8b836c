"""Your compute_loss has lost its minus sign: it is the mean logarithm of the probability, which training would push to
minus infinity.

zh: 你的 compute_loss 少了负号：它成了对数概率的平均值，训练会把它推向负无穷。
"""

PART = "loss"


def compute_loss(logits, labels):
    return -tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
