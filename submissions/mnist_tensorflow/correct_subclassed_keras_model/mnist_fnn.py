# -*- coding: utf-8 -*-
import numpy as np
import tensorflow as tf


class myModel(tf.keras.Model):
    """tanh network with 256 hidden units; the biases are rows."""

    def __init__(self, hidden=256):
        super(myModel, self).__init__()
        scale = 1 / 28
        self.W1 = tf.Variable(scale * np.random.randn(784, hidden).astype(np.float32), name='W1')
        self.b1 = tf.Variable(np.zeros((1, hidden), dtype=np.float32), name='b1')
        self.W2 = tf.Variable(0.05 * np.random.randn(hidden, 10).astype(np.float32), name='W2')
        self.b2 = tf.Variable(np.zeros((1, 10), dtype=np.float32), name='b2')

    def call(self, x):
        flat = tf.reshape(x, (x.shape[0], x.shape[1] * x.shape[2]))
        return tf.nn.tanh(flat @ self.W1 + self.b1) @ self.W2 + self.b2


def compute_loss(logits, labels):
    onehot = tf.one_hot(labels, depth=10)
    prob = tf.nn.softmax(logits)
    return -tf.reduce_mean(tf.reduce_sum(onehot * tf.math.log(prob + 1e-10), axis=-1))


def compute_accuracy(logits, labels):
    return np.mean(np.argmax(logits.numpy(), axis=1) == labels.numpy())


def train_one_step(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        logits = model(x)
        loss = compute_loss(logits, y)
    variables = [model.W1, model.b1, model.W2, model.b2]
    grads = tape.gradient(loss, variables)
    optimizer.apply_gradients(grads_and_vars=zip(grads, variables))
    return loss, compute_accuracy(logits, y)


def test(model, x, y):
    logits = model(x)
    return compute_loss(logits, y), compute_accuracy(logits, y)


if __name__ == '__main__':
    (x, y), (xt, yt) = tf.keras.datasets.mnist.load_data()
    net, opt = myModel(), tf.keras.optimizers.SGD(0.5)
    for i in range(200):
        print(i, train_one_step(net, opt, tf.constant(x / 255.0, tf.float32), tf.constant(y, tf.int64)))
