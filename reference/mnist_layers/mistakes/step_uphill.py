"""Your train_one_step adds the gradient, so the loss grows; subtract it.

zh: train_one_step 加上了梯度，损失会变大；应当减去。
"""

PART = "myModel"


def train_one_step(model, x, y):
    model.forward(x)
    model.backward(y)
    for name in ("W1", "W2", "W3", "W4"):
        if hasattr(model, name):
            setattr(model, name, getattr(model, name) + LEARNING_RATE * getattr(model, f"{name}_grad"))
    return model.loss
