"""Your training step follows the gradient of the summed loss, so it is as many times too long as there are images in
the batch; use the mean.

zh: 你的训练步骤用的是损失之和的梯度，步子大了“批大小”倍；应当用平均损失。
"""

PART = "training"


def train_one_step(model, optimizer, x, y):
    variables = [model.W1, model.b1, model.W2, model.b2]
    with tf.GradientTape() as tape:
        logits = model(x)
        loss = compute_loss(logits, y)
    slopes = tape.gradient(loss, variables)
    size = tf.cast(tf.shape(x)[0], tf.float32)
    for variable, slope in zip(variables, slopes, strict=True):
        variable.assign_sub(0.01 * size * slope)
    return loss, compute_accuracy(logits, y)
