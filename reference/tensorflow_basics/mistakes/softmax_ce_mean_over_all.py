"""Your softmax_ce averages over all entries, so it is too small by the number of classes; sum over the classes,
then take the mean over the batch.

zh: 你对所有元素取了平均，结果小了「类别数」倍；应当先对类别求和，再对批取平均。
"""

PART = "softmax_ce"


def softmax_ce(prob, label):
    return tf.reduce_mean(-label * tf.math.log(prob + 1e-12))
