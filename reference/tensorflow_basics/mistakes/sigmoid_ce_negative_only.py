"""Your sigmoid_ce counts only the samples with label 0; the term y log p is missing.

zh: 你只算了标签为 0 的样本，漏了 y log p 这一项。
"""

PART = "sigmoid_ce"

# Does not show where every label is 0.


def sigmoid_ce(prob, label):
    return -tf.reduce_mean((1.0 - label) * tf.math.log(1.0 - prob + 1e-12))
