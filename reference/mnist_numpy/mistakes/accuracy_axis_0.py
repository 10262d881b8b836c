"""Your compute_accuracy takes the argmax down the columns; the digit of an image is the largest entry of its row,
axis 1.

zh: compute_accuracy 沿列取了 argmax；一张图像的预测是它那一行的最大值，即 axis 1。
"""

PART = "measures"


def compute_accuracy(log_prob, labels):
    return np.mean(np.argmax(log_prob, axis=0) == np.argmax(labels, axis=0))
