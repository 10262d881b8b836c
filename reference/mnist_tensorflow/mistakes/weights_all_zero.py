"""Your weights all start at 0, so every hidden unit computes the same and gets the same gradient for ever; draw them
at random.

zh: 你的权重初值全是 0，所有隐藏单元算得一样、梯度也一样，永远分不开；请随机初始化。
"""

PART = "model"


class myModel:
    def __init__(self):
        self.W1 = tf.Variable(tf.zeros([784, HIDDEN]), shape=OPEN)
        self.b1 = tf.Variable(tf.zeros([HIDDEN]), shape=OPEN)
        self.W2 = tf.Variable(tf.zeros([HIDDEN, 10]), shape=OPEN)
        self.b2 = tf.Variable(tf.zeros([10]), shape=OPEN)

    def __call__(self, x):
        x = tf.reshape(tf.cast(x, self.W1.dtype), [-1, 784])
        h = tf.nn.relu(x @ self.W1 + self.b1)
        return h @ self.W2 + self.b2
