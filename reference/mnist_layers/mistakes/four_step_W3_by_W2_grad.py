"""Your train_one_step moves W3 by the gradient of W2; they do not even have the same shape. Each weight has its own
gradient.

zh: train_one_step 用 W2 的梯度更新了 W3，两者连形状都不同。每个权重各用各的梯度。
"""

PART = "myModel2"


def train_one_step(model, x, y):
    model.forward(x)
    model.backward(y)
    model.W1 -= LEARNING_RATE * model.W1_grad
    model.W2 -= LEARNING_RATE * model.W2_grad
    if hasattr(model, "W3"):
        model.W3 -= LEARNING_RATE * model.W2_grad
        model.W4 -= LEARNING_RATE * model.W4_grad
    return model.loss
