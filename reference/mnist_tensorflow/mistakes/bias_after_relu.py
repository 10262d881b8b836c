"""Your model adds b1 after the ReLU; it belongs inside, relu(x W1 + b1), where it moves the kink.

zh: 你在 ReLU 之后才加 b1；它应在 ReLU 里面：relu(x W1 + b1)，这样才能移动转折点。
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
        h = tf.nn.relu(x @ self.W1) + self.b1
        return h @ self.W2 + self.b2
