"""Your sigmoid_ce clips the probabilities at 0.01, so large losses are cut off; clip at 1e-12 or so.

zh: 你的 sigmoid_ce 在 0.01 处截断概率，较大的损失被截断了；请在 1e-12 左右截断。
"""

PART = "sigmoid_ce"


def sigmoid_ce(prob, label):
    prob = tf.clip_by_value(tf.convert_to_tensor(prob), 0.01, 0.99)
    return tf.reduce_mean(-label * tf.math.log(prob) - (1 - label) * tf.math.log(1 - prob))
