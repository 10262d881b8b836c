"""Your fun2 has cos(x³). What is asked for is x³ times cos x.

zh: 你的 fun2 里是 cos(x³)，题目要求的是 x³ 乘以 cos x。
"""

PART = "functions"


def fun2(x):
    return torch.sin(x) ** 2 + torch.cos(x**3) + 4 * x + 2
