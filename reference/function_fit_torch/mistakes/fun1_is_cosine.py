"""Your fun1 is cos x; the sheet asks for sin x.

zh: 你的 fun1 是 cos x，题目要求的是 sin x。
"""

PART = "functions"


def fun1(x):
    return torch.cos(x)
