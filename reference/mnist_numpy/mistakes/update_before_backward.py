"""Your step updates the weights before backward, so it uses the gradients of the step before, which the first step
does not have.

zh: 更新放在了 backward 之前，用的是上一步的梯度，而第一步根本没有。
"""

PART = "training"


def train_one_step(model, x, y):
    model.forward(x)
    model.W1 = model.W1 - STEP * model.W1_grad
    model.W2 = model.W2 - STEP * model.W2_grad
    model.backward(y)
    return compute_loss(model.h2_log, y), compute_accuracy(model.h2_log, y)
