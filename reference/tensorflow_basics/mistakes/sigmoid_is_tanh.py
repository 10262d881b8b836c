"""Your sigmoid is the hyperbolic tangent, with values from -1 to 1; the sheet asks for 1 / (1 + exp(-x)), from 0
to 1.

zh: 你写的是 tanh，取值在 -1 到 1；题目要的是 1 / (1 + exp(-x))，取值在 0 到 1。
"""

PART = "sigmoid"


def sigmoid(x):
    return (tf.exp(x) - tf.exp(-x)) / (tf.exp(x) + tf.exp(-x))
