"""Your step size is 1e-3; with a summed gradient the sheet asks for 1e-5.

zh: 步长是 1e-3；梯度是求和的，题目要求 1e-5。
"""

PART = "training"


def train_one_step(model, x, y):
    model.forward(x)
    model.backward(y)
    model.W1 = model.W1 - 1e-3 * model.W1_grad
    model.W2 = model.W2 - 1e-3 * model.W2_grad
    return compute_loss(model.h2_log, y), compute_accuracy(model.h2_log, y)
