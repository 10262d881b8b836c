"""Your compute_accuracy is in percent; the sheet asks for a share from 0 to 1.

zh: compute_accuracy 返回的是百分数；题目要求 0 到 1 之间的比例。
"""

PART = "measures"


def compute_accuracy(log_prob, labels):
    return 100.0 * np.mean(np.argmax(log_prob, axis=1) == np.argmax(labels, axis=1))
