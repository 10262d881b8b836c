"""Your model multiplies the images by W1 as they are, 28 by 28; flatten each to a row of 784 pixels first, with
tf.reshape(x, [-1, 784]).

zh: 你直接用 28×28 的图像去乘 W1；请先用 tf.reshape(x, [-1, 784]) 把每张图展平成 784 个像素的一行。
"""

PART = "model"


class myModel:
    def __init__(self):
        self.W1 = tf.Variable(tf.random.normal([784, HIDDEN], stddev=0.05), shape=OPEN)
        self.b1 = tf.Variable(tf.zeros([HIDDEN]), shape=OPEN)
        self.W2 = tf.Variable(tf.random.normal([HIDDEN, 10], stddev=0.1), shape=OPEN)
        self.b2 = tf.Variable(tf.zeros([10]), shape=OPEN)

    def __call__(self, x):
        h = tf.nn.relu(tf.matmul(x, self.W1) + self.b1)
        return tf.matmul(h, self.W2) + self.b2
