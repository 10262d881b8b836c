"""Your compute_accuracy takes argmax of the labels along axis 1, but they are class numbers with one axis; compare
with the labels themselves.

zh: 你对标签也沿第 1 维取了 argmax，但标签是一维的类别编号；直接和标签比较即可。
"""

PART = "accuracy"


def compute_accuracy(logits, labels):
    predictions = tf.argmax(logits, axis=1)
    return tf.reduce_mean(tf.cast(tf.equal(predictions, tf.argmax(labels, axis=1)), tf.float32))
