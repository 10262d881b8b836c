"""Your model applies ReLU to the logits too, so none can be negative, and a class whose logit is cut to 0 gets no
gradient; only the hidden layer has an activation.

zh: 你对 logits 也用了 ReLU，结果没有负数，被截成 0 的类别也得不到梯度；只有隐藏层需要激活函数。
"""

PART = "model"


class myModel:
    def __init__(self):
        self.W1 = tf.Variable(tf.random.normal([784, HIDDEN], stddev=0.05), shape=OPEN)
        self.b1 = tf.Variable(tf.zeros([HIDDEN]), shape=OPEN)
        self.W2 = tf.Variable(tf.random.normal([HIDDEN, 10], stddev=0.1), shape=OPEN)
        self.b2 = tf.Variable(tf.zeros([10]), shape=OPEN)

    def __call__(self, x):
        x = tf.reshape(tf.cast(x, self.W1.dtype), [-1, 784])
        h = tf.nn.relu(x @ self.W1 + self.b1)
        return tf.nn.relu(h @ self.W2 + self.b2)
