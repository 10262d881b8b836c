"""Your softmax_ce returns one loss per sample; the sheet asks for one number, their mean.

zh: 你返回了每个样本各自的损失，题目只要一个数：它们的平均值。
"""

PART = "softmax_ce"


def softmax_ce(prob, label):
    return -tf.reduce_sum(label * tf.math.log(prob + 1e-12), axis=-1)
