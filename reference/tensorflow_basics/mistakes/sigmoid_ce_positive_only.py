"""Your sigmoid_ce counts only the samples with label 1; the term (1 - y) log(1 - p) is missing.

zh: 你只算了标签为 1 的样本，漏了 (1 - y) log(1 - p) 这一项。
"""

PART = "sigmoid_ce"

# Does not show where every label is 1.


def sigmoid_ce(prob, label):
    return -tf.reduce_mean(label * tf.math.log(prob + 1e-12))
