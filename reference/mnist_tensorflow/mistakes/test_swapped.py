"""Your test returns accuracy and loss in this order; the sheet asks for loss first, then accuracy.

zh: 你的 test 先返回正确率、再返回损失；题目要求先损失、后正确率。
"""

PART = "test"


def test(model, x, y):
    logits = model(x)
    return compute_accuracy(logits, y), compute_loss(logits, y)
