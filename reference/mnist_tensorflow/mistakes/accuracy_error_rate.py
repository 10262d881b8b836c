"""Your compute_accuracy returns the share that is wrong; the accuracy is 1 minus that.

zh: 你返回的是错误率；正确率是 1 减去它。
"""

PART = "accuracy"


def compute_accuracy(logits, labels):
    predictions = tf.argmax(logits, axis=1)
    return tf.reduce_mean(tf.cast(tf.not_equal(predictions, labels), tf.float32))
