"""Your softmax_ce sums over the batch; the sheet asks for the mean over the batch.

zh: 你的 softmax_ce 对整批求了和，题目要求对批取平均。
"""

PART = "softmax_ce"

# Does not show on a batch of one.


def softmax_ce(prob, label):
    return -tf.reduce_sum(label * tf.math.log(prob + 1e-12))
