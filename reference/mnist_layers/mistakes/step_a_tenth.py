"""Your train_one_step uses a step of 1e-5; the sheet asks for 1e-4.

zh: train_one_step 的步长是 1e-5，题目要求 1e-4。
"""

PART = "myModel"


def train_one_step(model, x, y):
    model.forward(x)
    model.backward(y)
    for name in ("W1", "W2", "W3", "W4"):
        if hasattr(model, name):
            setattr(model, name, getattr(model, name) - 1e-5 * getattr(model, f"{name}_grad"))
    return model.loss
