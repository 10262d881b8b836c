"""Your compute_accuracy takes the smallest logit of each image; the prediction is the largest.

zh: 你取的是每张图像最小的 logit；预测应取最大的。
"""

PART = "accuracy"


def compute_accuracy(logits, labels):
    predictions = tf.argmin(logits, axis=1)
    return tf.reduce_mean(tf.cast(tf.equal(predictions, labels), tf.float32))
