"""Your softmax overflows on large logits and returns NaN; subtract the largest logit of each row before exp.

zh: logits 很大时你的 softmax 会溢出成 NaN；取指数之前先减去每行的最大值。
"""

PART = "softmax"

# Shows only on logits beyond 709 (exp overflows, inf / inf is NaN) or where all of a row lie below -745 (0 /
# 0).


def softmax(x):
    e = tf.exp(x)
    return e / tf.reduce_sum(e, axis=-1, keepdims=True)
