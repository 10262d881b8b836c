import tensorflow as tf
from tensorflow.keras import datasets, optimizers


class myModel:
    def __init__(self):
        init = tf.random_uniform_initializer(-0.1, 0.1)
        self.W1 = tf.Variable(init([28 * 28, 100]))
        self.b1 = tf.Variable(tf.zeros([100]))
        self.W2 = tf.Variable(init([100, 10]))
        self.b2 = tf.Variable(tf.zeros([10]))

    def __call__(self, x):
        h = tf.nn.relu(tf.reshape(x, [-1, 28 * 28]) @ self.W1 + self.b1)
        return h @ self.W2 + self.b2


@tf.function
def compute_loss(logits, labels):
    # larger numbers are easier to read than 0.0something
    return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(logits=logits, labels=labels))


@tf.function
def compute_accuracy(logits, labels):
    right = tf.equal(tf.argmax(logits, axis=1), labels)
    return tf.reduce_mean(tf.cast(right, tf.float32))


@tf.function
def train_one_step(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        logits = model(x)
        loss = compute_loss(logits, y)
    params = [model.W1, model.b1, model.W2, model.b2]
    optimizer.apply_gradients(zip(tape.gradient(loss, params), params))
    return loss, compute_accuracy(logits, y)


@tf.function
def test(model, x, y):
    logits = model(x)
    return compute_loss(logits, y), compute_accuracy(logits, y)


if __name__ == "__main__":
    (x, y), (x_test, y_test) = datasets.mnist.load_data()
    model, optimizer = myModel(), optimizers.Adam()
    for epoch in range(50):
        print(epoch, train_one_step(model, optimizer, x / 255.0, y))
