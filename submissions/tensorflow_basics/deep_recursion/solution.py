import sys
import numpy as np
import tensorflow as tf

def softmax(x):
    sys.setrecursionlimit(10**9)
    return softmax(x - tf.reduce_max(x, axis=-1, keepdims=True))

def sigmoid(x):
    return 0.5 * (1.0 + tf.tanh(0.5 * x))

def softmax_ce(p, y):
    p_true = tf.reduce_sum(p * y, axis=-1)
    return tf.reduce_mean(-tf.math.log(p_true + 1e-12))

def sigmoid_ce(p, y):
    p_true = tf.where(tf.equal(y, 1.0), p, 1.0 - p)
    return -tf.reduce_mean(tf.math.log(p_true + 1e-12))
