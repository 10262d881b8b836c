"""Your training step adds the gradient, which makes the loss grow; subtract it (assign_sub).

zh: 你的训练步骤把梯度加了上去，损失会变大；应当减去梯度（assign_sub）。
"""

PART = "training"


def train_one_step(model, optimizer, x, y):
    variables = [model.W1, model.b1, model.W2, model.b2]
    with tf.GradientTape() as tape:
        logits = model(x)
        loss = compute_loss(logits, y)
    for variable, slope in zip(variables, tape.gradient(loss, variables), strict=True):
        variable.assign_add(0.01 * slope)
    return loss, compute_accuracy(logits, y)
