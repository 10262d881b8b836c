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
    cce = tf.keras.losses.CategoricalCrossentropy()
    return cce(label, x)

def sigmoid_ce(x, label):
    eps = 1e-12
    pos = label * tf.math.log(x + eps)
    neg = (1.0 - label) * tf.math.log(1.0 - x + eps)
    loss = tf.reduce_mean(-(pos + neg))
    return loss
