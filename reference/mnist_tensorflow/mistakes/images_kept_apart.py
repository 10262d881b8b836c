"""Your model flattens all images of the batch into a single row; each image needs a row of its own, tf.reshape(x, [-1,
784]).

zh: 你把整批图像拼成了一行；每张图像应各占一行：tf.reshape(x, [-1, 784])。
"""

PART = "model"


class myModel:
    def __init__(self):
        self.W1 = tf.Variable(tf.random.normal([784, HIDDEN], stddev=0.05), shape=OPEN)
        self.b1 = tf.Variable(tf.zeros([HIDDEN]), shape=OPEN)
        self.W2 = tf.Variable(tf.random.normal([HIDDEN, 10], stddev=0.1), shape=OPEN)
        self.b2 = tf.Variable(tf.zeros([10]), shape=OPEN)

    def __call__(self, x):
        h = tf.nn.relu(tf.matmul(tf.reshape(x, [1, -1]), self.W1) + self.b1)
        return tf.matmul(h, self.W2) + self.b2
