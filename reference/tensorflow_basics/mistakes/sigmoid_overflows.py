"""Your sigmoid divides infinity by infinity on large x and returns NaN; write it as 1 / (1 + exp(-x)).

zh: x 很大时你的 sigmoid 变成无穷除以无穷，得到 NaN；写成 1 / (1 + exp(-x)) 就好。
"""

PART = "sigmoid"

# Shows only on x beyond 709: exp overflows, inf / inf is NaN.


def sigmoid(x):
    return tf.exp(x) / (1.0 + tf.exp(x))
