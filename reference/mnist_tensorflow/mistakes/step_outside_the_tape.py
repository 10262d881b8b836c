"""Your training step computes the logits outside the GradientTape, so the gradients are None; move model(x) into the
with block.

zh: 你在 GradientTape 外面计算了 logits，梯度因此是 None；请把 model(x) 移到 with 里面。
"""

PART = "training"


def train_one_step(model, optimizer, x, y):
    variables = [model.W1, model.b1, model.W2, model.b2]
    logits = model(x)
    with tf.GradientTape() as tape:
        loss = compute_loss(logits, y)
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    return loss, compute_accuracy(logits, y)
