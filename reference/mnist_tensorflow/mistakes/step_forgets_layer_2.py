"""Your training step moves W1 and b1 only; the second layer keeps its first random weights. Add W2 and b2 to the list.

zh: 你的训练步骤只更新了 W1 和 b1，第二层一直停在随机初值上；请把 W2、b2 也加进变量列表。
"""

PART = "training"


def train_one_step(model, optimizer, x, y):
    variables = [model.W1, model.b1]
    with tf.GradientTape() as tape:
        logits = model(x)
        loss = compute_loss(logits, y)
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    return loss, compute_accuracy(logits, y)
