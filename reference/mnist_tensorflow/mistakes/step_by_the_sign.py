"""Your training step subtracts the sign of the gradient, so every weight moves equally far; subtract the gradient
itself.

zh: 你减去的是梯度的符号，每个权重移动的距离都一样；应当减去梯度本身。
"""

PART = "training"


def train_one_step(model, optimizer, x, y):
    variables = [model.W1, model.b1, model.W2, model.b2]
    with tf.GradientTape() as tape:
        logits = model(x)
        loss = compute_loss(logits, y)
    for variable, slope in zip(variables, tape.gradient(loss, variables), strict=True):
        variable.assign_sub(0.01 * tf.sign(slope))
    return loss, compute_accuracy(logits, y)
