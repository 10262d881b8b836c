"""Your training step moves W2 and b2 only; the first layer keeps its first random weights. Add W1 and b1 to the list.

zh: 你的训练步骤只更新了 W2 和 b2，第一层一直停在随机初值上；请把 W1、b1 也加进变量列表。
"""

PART = "training"


def train_one_step(model, optimizer, x, y):
    variables = [model.W2, model.b2]
    with tf.GradientTape() as tape:
        logits = model(x)
        loss = compute_loss(logits, y)
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    return loss, compute_accuracy(logits, y)
