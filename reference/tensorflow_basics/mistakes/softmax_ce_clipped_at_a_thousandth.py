"""Your softmax_ce raises every probability below 0.001 to 0.001, so large losses are cut off; clip at 1e-12 or so.

zh: 你的 softmax_ce 把小于 0.001 的概率都提高到 0.001，较大的损失被截断了；请在 1e-12 左右截断。
"""

PART = "softmax_ce"


def softmax_ce(prob, label):
    prob = tf.clip_by_value(tf.convert_to_tensor(prob), 0.001, 1.0)
    return tf.reduce_mean(-tf.reduce_sum(label * tf.math.log(prob), axis=-1))
