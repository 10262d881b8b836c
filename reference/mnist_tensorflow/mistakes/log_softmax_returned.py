"""Your model returns log_softmax of the logits. The loss comes out the same, because softmax undoes it, but logits are
asked for: leave it away.

zh: 你的模型返回的是 log_softmax。因为 softmax 会把它抵消，损失值不变，但题目要的是 logits 本身，去掉它就好。
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
        return tf.nn.log_softmax(h @ self.W2 + self.b2)
