"""Your sigmoid changes the sign of the array it is given, in place; make a new array.

zh: 你的 sigmoid 直接把传入数组的符号改掉了；请新建一个数组。
"""

PART = "sigmoid"


def sigmoid(x):
    x *= -1
    return 1 / (1 + tf.exp(tf.convert_to_tensor(x)))
