"""Your softmax_ce always divides by 10, the batch size of the sheet's test; divide by the size of the batch.

zh: 你的 softmax_ce 总是除以 10（题目自带测试的批大小）；应除以传入的批的大小。
"""

PART = "softmax_ce"


def softmax_ce(prob, label):
    loss = -tf.reduce_sum(tf.math.xlogy(label, tf.convert_to_tensor(prob)))
    return loss / 10
