"""Your compute_loss adds up the batch; the sheet asks for the mean over the images.

zh: compute_loss 对整批求了和，题目要求对图像取平均。
"""

PART = "measures"


def compute_loss(log_prob, labels):
    return -np.sum(labels * log_prob)
