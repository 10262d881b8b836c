"""TensorFlow basics: write the four functions below.

The logits x are float64 NumPy arrays. Answer with TensorFlow tensors. TensorFlow's own softmax, sigmoid and
cross-entropy functions are not allowed inside the answers; tf.exp, tf.math.log, tf.reduce_sum and friends are.
"""

import numpy as np
import tensorflow as tf


def softmax(x):
    # x: (..., classes). Turn the last axis into probabilities. Mind logits as large as 1000.
    raise NotImplementedError


def sigmoid(x):
    # x: any shape. 1 / (1 + exp(-x)), element by element. Mind logits as large as 1000, of both signs.
    raise NotImplementedError


def softmax_ce(prob, label):
    # prob: (batch, classes), probabilities (softmax has been applied already); label: one-hot, the same shape.
    # Return one number: the mean of the cross entropy over the batch.
    raise NotImplementedError


def sigmoid_ce(prob, label):
    # prob: (batch,), probabilities of class 1 (sigmoid has been applied already); label: 0 or 1, the same shape.
    # Return one number: the mean of the cross entropy over the batch.
    raise NotImplementedError


if __name__ == "__main__":
    # A look at your own answers. The grader does not run this part.
    logits = np.random.normal(size=(10, 5))
    one_hot = np.eye(5)[np.random.randint(0, 5, size=10)]
    print("largest difference in softmax:", np.abs(softmax(logits) - tf.nn.softmax(logits)).max())
    print("your mean loss:", softmax_ce(tf.nn.softmax(logits), one_hot))
