"""Your softmax subtracts the maximum of the whole array, so a row far below it becomes 0/0; subtract each row's
own maximum.

zh: 你减去的是整个数组的最大值，远小于它的那一行会变成 0/0；应当减去每一行自己的最大值。
"""

PART = "softmax"

# Shows only where one row lies more than 745 below another, e.g. [[0, 0], [1000, 1000]]: NaN in the lower row.


def softmax(x):
    e = tf.exp(x - tf.reduce_max(x))
    return e / tf.reduce_sum(e, axis=-1, keepdims=True)
