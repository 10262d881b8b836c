"""Your sigmoid uses the absolute value of x everywhere, so negative x gives values above 0.5; only x >= 0 may
use that form.

zh: 你对所有 x 都用了绝对值，负数也得到大于 0.5 的值；这个写法只适用于 x >= 0。
"""

PART = "sigmoid"

# Does not show where x has no negative entry.


def sigmoid(x):
    return 1.0 / (1.0 + tf.exp(-tf.abs(x)))
