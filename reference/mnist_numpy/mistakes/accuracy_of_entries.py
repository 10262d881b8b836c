"""Your compute_accuracy compares every entry of the label with the prediction, so the nine zeros count as right;
compare the argmax.

zh: compute_accuracy 逐个元素比较标签和预测，九个 0 也算作认对了；应当比较 argmax。
"""

PART = "measures"


def compute_accuracy(log_prob, labels):
    predicted = np.eye(log_prob.shape[1])[np.argmax(log_prob, axis=1)]
    return np.mean(predicted == labels)
