import numpy as np
import tensorflow as tf

def softmax(x):
    return tf.exp(x) / tf.reduce_sum(tf.exp(x), axis=-1, keepdims=True)

def sigmoid(x):
    return tf.exp(x) / (tf.exp(x) + 1)

def softmax_ce(prob, label):
    return -tf.reduce_mean(tf.reduce_sum(label * tf.math.log(prob), axis=-1))

def sigmoid_ce(prob, label):
    return -tf.reduce_mean(label * tf.math.log(prob) + (1 - label) * tf.math.log(1 - prob))
