"""Your model divides the pixels by 255, which was already done to the data: they end below 0.004, and the network sees
almost black images.

zh: 你在模型里又把像素除以 255，而数据已经除过一次：像素都小于 0.004，网络看到的几乎是全黑的图。
"""

PART = "model"


class myModel:
    def __init__(self):
        self.W1 = tf.Variable(tf.random.normal([784, HIDDEN], stddev=0.05), shape=OPEN)
        self.b1 = tf.Variable(tf.zeros([HIDDEN]), shape=OPEN)
        self.W2 = tf.Variable(tf.random.normal([HIDDEN, 10], stddev=0.1), shape=OPEN)
        self.b2 = tf.Variable(tf.zeros([10]), shape=OPEN)

    def __call__(self, x):
        x = tf.reshape(tf.cast(x, self.W1.dtype), [-1, 784]) / 255.0
        h = tf.nn.relu(x @ self.W1 + self.b1)
        return h @ self.W2 + self.b2
