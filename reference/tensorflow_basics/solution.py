"""Exemplary answers, and the TensorFlow functions they are compared with.

softmax: every row is shifted by its largest logit. The shift cancels in the quotient, the largest exponent becomes
exp(0) = 1, so nothing overflows and the denominator is at least 1.

sigmoid: only exp(-|x|) <= 1 is ever computed. With e = exp(-|x|) the value is 1 / (1 + e) for x >= 0 and e / (1 + e)
for x < 0, the same number written in two ways.

Cross entropies: xlogy(y, p) is y log p with the limit 0 log 0 = 0, so a class with label 0 may have probability
exactly 0 and no epsilon is needed. Labels are cast to the type of the probabilities, so float32 stays float32.
"""

import tensorflow as tf


def softmax(x):
    """x: (..., classes) logits. Returns a tensor of the same shape whose last axis sums to 1."""
    x = tf.convert_to_tensor(x)
    e = tf.exp(x - tf.reduce_max(x, axis=-1, keepdims=True))
    return e / tf.reduce_sum(e, axis=-1, keepdims=True)


def sigmoid(x):
    """x: logits of any shape. Returns a tensor of the same shape with values in [0, 1]."""
    x = tf.convert_to_tensor(x)
    e = tf.exp(-tf.abs(x))
    return tf.where(x >= 0, tf.ones_like(e), e) / (1 + e)


def softmax_ce(prob, label):
    """prob: (batch, classes) probabilities; label: the same shape, one-hot. Returns the mean over the batch."""
    prob = tf.convert_to_tensor(prob)
    label = tf.cast(label, prob.dtype)
    return tf.reduce_mean(-tf.reduce_sum(tf.math.xlogy(label, prob), axis=-1))


def sigmoid_ce(prob, label):
    """prob: (batch,) probabilities of class 1; label: the same shape, 0 or 1. Returns the mean over the batch."""
    prob = tf.convert_to_tensor(prob)
    label = tf.cast(label, prob.dtype)
    return tf.reduce_mean(-tf.math.xlogy(label, prob) - tf.math.xlogy(1 - label, 1 - prob))


def tf_softmax(x):
    """What softmax is compared with."""
    return tf.nn.softmax(tf.convert_to_tensor(x))


def tf_sigmoid(x):
    """What sigmoid is compared with."""
    return tf.nn.sigmoid(tf.convert_to_tensor(x))


def tf_softmax_ce(logits, label):
    """What softmax_ce is compared with: the same loss, from the logits. Mean over the batch."""
    logits = tf.convert_to_tensor(logits)
    loss = tf.nn.softmax_cross_entropy_with_logits(labels=tf.cast(label, logits.dtype), logits=logits)
    return tf.reduce_mean(loss)


def tf_sigmoid_ce(logits, label):
    """What sigmoid_ce is compared with: the same loss, from the logits. Mean over the batch."""
    logits = tf.convert_to_tensor(logits)
    loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.cast(label, logits.dtype), logits=logits)
    return tf.reduce_mean(loss)
