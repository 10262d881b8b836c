"""Your model applies sigmoid to the logits; return them as they are.

zh: 你对 logits 做了 sigmoid；应当原样返回 logits。
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
        return tf.nn.sigmoid(h @ self.W2 + self.b2)
