"""Your hidden layer has no activation, so the two layers together are one linear map; put ReLU or tanh between them.

zh: 你的隐藏层没有激活函数，两层合起来只是一个线性变换；请在中间加上 ReLU 或 tanh。
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
        h = x @ self.W1 + self.b1
        return h @ self.W2 + self.b2
