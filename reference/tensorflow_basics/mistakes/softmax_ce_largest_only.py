"""Your softmax_ce takes the largest probability of each row whatever the label says; take the probability of the
labelled class.

zh: 你取了每行最大的概率，没有看标签；应当取标签所指那一类的概率。
"""

PART = "softmax_ce"

# Does not show where every label is the most probable class.


def softmax_ce(prob, label):
    return -tf.reduce_mean(tf.math.log(tf.reduce_max(prob, axis=-1)))
