import numpy as np
import tensorflow as tf

def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)

def sigmoid(x):
    return 1 / (1 + tf.exp(-x).numpy())

def softmax_ce(prob, label):
    prob = np.array(prob)
    return np.mean(-np.sum(label * np.log(prob + 1e-12), axis=-1))

def sigmoid_ce(prob, label):
    prob = np.array(prob)
    return np.mean(-label * np.log(prob + 1e-12) - (1 - label) * np.log(1 - prob + 1e-12))
