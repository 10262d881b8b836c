import numpy as np
import tensorflow as tf

def softmax(x):
    t = tf.exp(x)
    return t / tf.reduce_sum(t, axis=0, keepdims=True)

def sigmoid(x):
    return 0.5 * (1.0 + tf.tanh(0.5 * x))

def softmax_ce(p, y):
    p_true = tf.reduce_sum(p * y, axis=-1)
    return tf.reduce_mean(-tf.math.log(p_true + 1e-12))

def sigmoid_ce(p, y):
    return -tf.reduce_sum(y * tf.math.log(p + 1e-12) + (1 - y) * tf.math.log(1 - p + 1e-12))
