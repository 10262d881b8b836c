"""Your compute_loss takes the logarithm once more; log_prob holds logarithms already.

zh: compute_loss 又取了一次对数；log_prob 本身已经是对数了。
"""

PART = "measures"


def compute_loss(log_prob, labels):
    return np.mean(-np.sum(labels * np.log(log_prob + 1e-12), axis=1))
