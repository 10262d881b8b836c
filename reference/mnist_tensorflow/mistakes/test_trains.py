"""Your test takes a training step on the test data; it should only look.

zh: 你的 test 拿测试数据做了一步训练；它只应评估。
"""

PART = "test"


def test(model, x, y):
    variables = [model.W1, model.b1, model.W2, model.b2]
    with tf.GradientTape() as tape:
        logits = model(x)
        loss = compute_loss(logits, y)
    for variable, slope in zip(variables, tape.gradient(loss, variables), strict=True):
        variable.assign_sub(0.01 * slope)
    return loss, compute_accuracy(logits, y)
