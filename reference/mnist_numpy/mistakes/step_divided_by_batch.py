"""Your step divides by the number of images; 1e-5 is meant for the summed gradient.

zh: 更新时又除以了图像张数；1e-5 是配合求和的梯度用的。
"""

PART = "training"


def train_one_step(model, x, y):
    model.forward(x)
    model.backward(y)
    model.W1 = model.W1 - STEP * model.W1_grad / len(x)
    model.W2 = model.W2 - STEP * model.W2_grad / len(x)
    return compute_loss(model.h2_log, y), compute_accuracy(model.h2_log, y)
