"""Your fun2 has sin x where sin² x is asked for.

zh: 你的 fun2 里写的是 sin x，题目要求 sin² x。
"""

PART = "functions"


def fun2(x):
    return torch.sin(x) + x**3 * torch.cos(x) + 4 * x + 2
