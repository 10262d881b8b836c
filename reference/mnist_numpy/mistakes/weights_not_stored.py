"""Your step computes the new weights in local variables and never stores them in the model: model.W1 = ...

zh: 更新后的权重只放在局部变量里，没有写回模型：应当 model.W1 = ……
"""

PART = "training"


def train_one_step(model, x, y):
    model.forward(x)
    model.backward(y)
    W1 = model.W1 - STEP * model.W1_grad
    W2 = model.W2 - STEP * model.W2_grad
    W1, W2 = W1 + 0.0, W2 + 0.0
    return compute_loss(model.h2_log, y), compute_accuracy(model.h2_log, y)
