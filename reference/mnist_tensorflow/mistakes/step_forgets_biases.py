"""Your training step moves W1 and W2 but not the biases; add b1 and b2 to the list of variables.

zh: 你的训练步骤更新了 W1 和 W2，却没有更新偏置；请把 b1、b2 也加进变量列表。
"""

PART = "training"


def train_one_step(model, optimizer, x, y):
    variables = [model.W1, model.W2]
    with tf.GradientTape() as tape:
        logits = model(x)
        loss = compute_loss(logits, y)
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    return loss, compute_accuracy(logits, y)
