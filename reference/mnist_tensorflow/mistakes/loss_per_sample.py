"""Your compute_loss returns one loss for each image; the sheet asks for one number, their mean: tf.reduce_mean.

zh: 你的 compute_loss 给每张图像各返回一个损失；题目只要一个数，即它们的平均值，用 tf.reduce_mean。
"""

PART = "loss"


def compute_loss(logits, labels):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
