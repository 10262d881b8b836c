"""Your compute_loss averages over images and classes, so it is ten times too small; sum over the classes, then take
the mean of the batch.

zh: 你对图像和类别一起取了平均，结果小了十倍；应先对类别求和，再对批取平均。
"""

PART = "loss"


def compute_loss(logits, labels):
    return tf.reduce_mean(-tf.one_hot(labels, 10) * tf.nn.log_softmax(logits))
