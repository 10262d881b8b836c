"""Your train_one_step updates W1 and W2 only; in myModel2 it has to move W3 and W4 too.

zh: train_one_step 只更新了 W1 和 W2；对 myModel2 还要更新 W3 和 W4。
"""

PART = "myModel2"


def train_one_step(model, x, y):
    model.forward(x)
    model.backward(y)
    model.W1 = model.W1 - LEARNING_RATE * model.W1_grad
    model.W2 = model.W2 - LEARNING_RATE * model.W2_grad
    return model.loss
