"""Your sigmoid_ce divides by the batch size twice; one mean over the batch is enough.

zh: 你除了两次批大小，对批取一次平均就够了。
"""

PART = "sigmoid_ce"

# Does not show on a batch of one.


def sigmoid_ce(prob, label):
    terms = label * tf.math.log(prob + 1e-12) + (1.0 - label) * tf.math.log(1.0 - prob + 1e-12)
    return -tf.reduce_mean(terms) / label.shape[0]
