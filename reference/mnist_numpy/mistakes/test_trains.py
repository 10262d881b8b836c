"""Your test takes a training step on the digits that it should only measure.

zh: test 在只该用来测量的数据上又训练了一步。
"""

PART = "measures"


def test(model, x, y):
    return train_one_step(model, x, y)
