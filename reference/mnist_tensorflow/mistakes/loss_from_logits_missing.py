"""Your compute_loss uses Keras' cross entropy without from_logits=True, so the logits are taken for probabilities and
cut off at 0.

zh: 你用了 Keras 的交叉熵却没有写 from_logits=True，logits 被当成概率，负数被截断。
"""

PART = "loss"


def compute_loss(logits, labels):
    return tf.reduce_mean(tf.keras.losses.sparse_categorical_crossentropy(labels, logits))
