"""Your training step subtracts the whole gradient, a step size of 1; multiply it by 0.01, or leave the size to the
optimiser.

zh: 你直接减去了整个梯度，相当于学习率为 1；请乘上 0.01，或者把步长交给优化器。
"""

PART = "training"


def train_one_step(model, optimizer, x, y):
    variables = [model.W1, model.b1, model.W2, model.b2]
    with tf.GradientTape() as tape:
        logits = model(x)
        loss = compute_loss(logits, y)
    for variable, slope in zip(variables, tape.gradient(loss, variables), strict=True):
        variable.assign_sub(slope)
    return loss, compute_accuracy(logits, y)
