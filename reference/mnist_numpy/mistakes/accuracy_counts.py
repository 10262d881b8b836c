"""Your compute_accuracy returns how many are right; divide by the number of images.

zh: compute_accuracy 返回的是认对的张数；还要除以图像总数。
"""

PART = "measures"


def compute_accuracy(log_prob, labels):
    return np.sum(np.argmax(log_prob, axis=1) == np.argmax(labels, axis=1))
