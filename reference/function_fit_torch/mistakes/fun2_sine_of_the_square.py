"""Your fun2 has sin(x²). What is asked for is sin² x, the square of sin x: torch.sin(x) ** 2.

zh: 你的 fun2 里是 sin(x²)。题目要求的 sin² x 是 sin x 的平方：torch.sin(x) ** 2。
"""

PART = "functions"


def fun2(x):
    return torch.sin(x**2) + x**3 * torch.cos(x) + 4 * x + 2
