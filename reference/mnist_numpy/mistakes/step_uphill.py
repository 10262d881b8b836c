"""Your step adds the gradient, so the loss rises; subtract it.

zh: 更新时加上了梯度，损失会上升；应当减去。
"""

PART = "training"


def train_one_step(model, x, y):
    model.forward(x)
    model.backward(y)
    model.W1 = model.W1 + STEP * model.W1_grad
    model.W2 = model.W2 + STEP * model.W2_grad
    return compute_loss(model.h2_log, y), compute_accuracy(model.h2_log, y)
