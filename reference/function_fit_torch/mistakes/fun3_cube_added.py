"""Your fun3 adds x³; its sign is minus.

zh: 你的 fun3 里 x³ 前面写成了加号，应当是减号。
"""

PART = "functions"


def fun3(x):
    return x**4 + x**3 + x**2 - x + 1
