import numpy as np
import tensorflow as tf

def softmax(x):
    # 先减去每行最大值，防止溢出
    x = x - np.max(x, axis=-1, keepdims=True)
    fenzi = tf.exp(x)
    fenmu = tf.reduce_sum(fenzi, -1, keepdims=True)
    return fenzi / fenmu

def sigmoid(x):
    return tf.divide(1, tf.add(1, tf.exp(-x)))

def softmax_ce(x, label):
    # x 已经是概率了
    x = tf.clip_by_value(x, 1e-12, 1.0)
    losses = -tf.reduce_sum(label * tf.math.log(x), axis=1)
    loss = tf.reduce_mean(losses)
    return loss

def sigmoid_ce(x, label):
    eps = 1e-12
    pos = label * tf.math.log(x + eps)
    neg = (1.0 - label) * tf.math.log(1.0 - x + eps)
    loss = tf.reduce_mean(-(pos + neg))
    return loss
