"""Your compute_loss is negative: the minus in front of the sum is missing.

zh: compute_loss 是负数：求和前少了负号。
"""

PART = "measures"


def compute_loss(log_prob, labels):
    return np.mean(np.sum(labels * log_prob, axis=1))
