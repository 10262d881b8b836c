import numpy as np
import tensorflow as tf

def softmax(x):
    x = tf.cast(x, tf.float32)
    e = tf.exp(x - tf.reduce_max(x, axis=-1, keepdims=True))
    return e / tf.reduce_sum(e, axis=-1, keepdims=True)

def sigmoid(x):
    x = tf.cast(x, tf.float32)
    return 1 / (1 + tf.exp(-x))

def softmax_ce(prob, label):
    prob, label = tf.cast(prob, tf.float32), tf.cast(label, tf.float32)
    return -tf.reduce_mean(tf.reduce_sum(label * tf.math.log(prob + 1e-7), axis=-1))

def sigmoid_ce(prob, label):
    prob, label = tf.cast(prob, tf.float32), tf.cast(label, tf.float32)
    return -tf.reduce_mean(label * tf.math.log(prob + 1e-7) + (1 - label) * tf.math.log(1 - prob + 1e-7))
