import numpy as np
import tensorflow as tf

def softmax(x):
    # 先减去每行最大值，防止溢出
    x = x - np.max(x, axis=-1, keepdims=True)
    fenzi = tf.exp(x)
    fenmu = tf.reduce_sum(fenzi, -1, keepdims=True)
    return fenzi / fenmu

def sigmoid(x):
    # 1/(1+e^-x)
    prob_x = tf.math.reciprocal(1.0 + tf.exp(-x))
    return prob_x

def softmax_ce(x, label):
    losses = -tf.reduce_sum(label * tf.math.log(x + 1e-12), axis=-1)
    return losses

def sigmoid_ce(x, label):
    losses = -label * tf.math.log(x + 1e-12) - (1. - label) * tf.math.log(1. - x + 1e-12)
    return losses
