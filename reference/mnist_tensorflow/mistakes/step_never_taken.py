"""Your training step computes the gradients but never changes a variable; call optimizer.apply_gradients, or
assign_sub on each.

zh: 你算出了梯度，却没有更新任何变量；请调用 optimizer.apply_gradients，或对每个变量 assign_sub。
"""

PART = "training"


def train_one_step(model, optimizer, x, y):
    variables = [model.W1, model.b1, model.W2, model.b2]
    with tf.GradientTape() as tape:
        logits = model(x)
        loss = compute_loss(logits, y)
    tape.gradient(loss, variables)
    return loss, compute_accuracy(logits, y)
