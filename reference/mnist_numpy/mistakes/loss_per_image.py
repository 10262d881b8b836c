"""Your compute_loss returns one loss for each image; take the mean, one number.

zh: compute_loss 给每张图像各返回一个损失；应当取平均，只返回一个数。
"""

PART = "measures"


def compute_loss(log_prob, labels):
    return -np.sum(labels * log_prob, axis=1)
