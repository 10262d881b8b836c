"""Checks of numpy_autodiff. Batches are rows, float64; each backward gets a random upstream gradient."""

import numpy as np

from grader.checks import Gradient, check, close, expect, gradients, near_kink, small_first, tiny, unchanged, unpack

MATMUL_SHAPES = ((1, 2, 3), (3, 2, 2), (5, 7, 3))  # (batch, d_in, d_out)


def matmul_inputs(rng, shape):
    """x: (batch, d_in), W: (d_in, d_out), grad_y: (batch, d_out)."""
    batch, d_in, d_out = shape
    return tuple(rng.normal(size=tiny(size)) for size in ((batch, d_in), (d_in, d_out), (batch, d_out)))


def matmul_backward(subject, x, W, grad_y):
    layer = subject.Matmul()
    layer.forward(x, W)
    return layer.backward(grad_y)


def compare_matmul_backward(student, reference, rng, which, name):
    """All calls first, then the comparisons: calls that nobody has looked at yet travel together."""
    inputs = [matmul_inputs(rng, shape) for shape in small_first(*MATMUL_SHAPES)]
    pairs = [
        tuple(unpack(matmul_backward(subject, *values), "grad_x", "grad_W") for subject in (student, reference))
        for values in inputs
    ]
    for got, expected in pairs:
        close(got[which], expected[which], what=name)


# Matmul -----------------------------------------------------------------------------------------------------------


@check(part="Matmul", points=8)
def matmul_forward(student, reference, rng):
    """Matmul.forward gives x @ W

    zh: Matmul.forward 给出 x @ W
    """
    inputs = [matmul_inputs(rng, shape)[:2] for shape in small_first(*MATMUL_SHAPES)]
    for got, expected in [(student.Matmul().forward(*xW), reference.Matmul().forward(*xW)) for xW in inputs]:
        close(got, expected, what="x @ W")


@check(part="Matmul", points=9)
def matmul_grad_x(student, reference, rng):
    """Matmul.backward gives the gradient with respect to x

    zh: Matmul.backward 给出对 x 的梯度
    """
    compare_matmul_backward(student, reference, rng, 0, "grad_x")


@check(part="Matmul", points=9)
def matmul_grad_W(student, reference, rng):
    """Matmul.backward gives the gradient with respect to W

    zh: Matmul.backward 给出对 W 的梯度
    """
    compare_matmul_backward(student, reference, rng, 1, "grad_W")


@check(part="Matmul", points=4)
def matmul_backward_is_the_derivative(student, reference, rng):
    """Both gradients of Matmul agree with finite differences of x @ W

    zh: Matmul 的两个梯度都与 x @ W 的有限差分一致
    """
    x, W, grad_y = matmul_inputs(rng, (3, 4, 2))
    grad_x, grad_W = unpack(matmul_backward(student, x, W, grad_y), "grad_x", "grad_W")
    layer = reference.Matmul()
    gradients(
        Gradient(got=grad_x, function=lambda xs: layer.forward.each([(v, W) for v in xs]), at=x, what="grad_x"),
        Gradient(got=grad_W, function=lambda Ws: layer.forward.each([(x, v) for v in Ws]), at=W, what="grad_W"),
        upstream=grad_y,
        rng=rng,
    )


@check(part="Matmul", points=2)
def matmul_backward_fits_its_forward(student, reference, rng):
    """Matmul.backward is the derivative of your own Matmul.forward

    zh: Matmul.backward 是你自己的 Matmul.forward 的导数
    """
    x, W, grad_y = matmul_inputs(rng, (2, 3, 3))
    grad_x, grad_W = unpack(matmul_backward(student, x, W, grad_y), "grad_x", "grad_W")
    layer = student.Matmul()
    y = layer.forward(x, W)
    gradients(
        Gradient(got=grad_x, function=lambda xs: layer.forward.each([(v, W) for v in xs]), at=x, what="grad_x"),
        Gradient(got=grad_W, function=lambda Ws: layer.forward.each([(x, v) for v in Ws]), at=W, what="grad_W"),
        upstream=grad_y,
        rng=rng,
    )
    close(y, np.zeros((2, 3)), atol=np.inf, what="x @ W")
    expect(bool(np.any(grad_W)), "grad_W is 0 everywhere.", "grad_W 处处为 0。", got=grad_W)


@check(part="Matmul", points=4, requires=["matmul_grad_x", "matmul_grad_W"])
def matmul_keeps_state_apart(student, reference, rng):
    """Two Matmul layers, used one after the other and again, do not disturb each other

    zh: 两个 Matmul 层交替使用、重复使用时互不干扰
    """
    other, first, second = (matmul_inputs(rng, (2, 3, 2)) for _ in range(3))
    a, b = student.Matmul(), student.Matmul()
    a.forward(*other[:2])
    a.forward(*first[:2])
    b.forward(*second[:2])
    turns = ((a, first), (b, second), (a, first))
    names = ("grad_x", "grad_W")
    pairs = [
        (unpack(layer.backward(v[2]), *names), unpack(matmul_backward(reference, *v), *names)) for layer, v in turns
    ]
    for got, expected in pairs:
        for mine, theirs, name in zip(got, expected, names, strict=True):
            close(mine, theirs, what=name)


@check(part="Matmul", points=4, requires=["matmul_forward"])
def matmul_keeps_its_inputs(student, reference, rng):
    """Matmul leaves x, W and grad_y as they were

    zh: Matmul 不修改 x、W 和 grad_y
    """
    values = matmul_inputs(rng, (3, 3, 3))
    x, W, grad_y = (student.hold(value) for value in values)
    layer = student.Matmul()
    layer.forward(x, W)
    layer.backward(grad_y)
    unchanged(x=(x, values[0]), W=(W, values[1]), grad_y=(grad_y, values[2]))


# Relu -------------------------------------------------------------------------------------------------------------


def relu_backward(subject, x, grad_y):
    layer = subject.Relu()
    layer.forward(x)
    return layer.backward(grad_y)


@check(part="Relu", points=7)
def relu_forward(student, reference, rng):
    """Relu.forward gives the positive part

    zh: Relu.forward 取正的部分
    """
    inputs = [4.0 * rng.normal(size=shape) for shape in small_first((1, 3), (2, 3), (6, 5))]
    for got, expected in [(student.Relu().forward(x), reference.Relu().forward(x)) for x in inputs]:
        close(got, expected)


@check(part="Relu", points=9)
def relu_backward_masks(student, reference, rng):
    """Relu.backward lets the gradient through where x is positive and stops it elsewhere

    zh: x 为正处 Relu.backward 让梯度通过，其余处截断
    """
    shapes = small_first((1, 3), (2, 3), (6, 5))
    inputs = [(4.0 * rng.away_from_zero(shape), rng.normal(size=shape)) for shape in shapes]
    pairs = [(relu_backward(student, *pair), relu_backward(reference, *pair)) for pair in inputs]
    # At exactly 0 there is no derivative: 0 and 1 are both in use, and what lies between is accepted.
    x, grad_y = np.array([[0.0, 2.0, -1.0, 0.05, -0.05]]), np.array([[5.0, 3.0, 4.0, 2.0, 6.0]])
    at_zero, right = relu_backward(student, x, grad_y), np.array([[0.0, 3.0, 0.0, 2.0, 0.0]])
    for got, expected in pairs:
        close(got, expected, what="grad_x")
    close(at_zero, right, or_between=[[[5.0, 3.0, 0.0, 2.0, 0.0]]], what="grad_x")


@check(part="Relu", points=3)
def relu_backward_is_the_derivative(student, reference, rng):
    """The gradient of Relu agrees with finite differences

    zh: Relu 的梯度与有限差分一致
    """
    x, grad_y = 4.0 * rng.away_from_zero((3, 4)), rng.normal(size=(3, 4))
    x[0, 0], x[1, 1] = 8.0, -8.0  # whatever was drawn, large values of both signs are there
    layer = reference.Relu()
    got = relu_backward(student, x, grad_y)
    gradients(Gradient(got=got, function=layer.forward.each, at=x, what="grad_x"), upstream=grad_y, rng=rng)


@check(part="Relu", points=3, requires=["relu_backward_masks"])
def relu_keeps_state_apart(student, reference, rng):
    """Two Relu layers, used one after the other and again, do not disturb each other

    zh: 两个 Relu 层交替使用、重复使用时互不干扰
    """
    other, x1, x2 = (rng.away_from_zero((3, 4)) for _ in range(3))
    grad_y = rng.normal(size=(3, 4))
    a, b = student.Relu(), student.Relu()
    a.forward(other)
    a.forward(x1)
    b.forward(x2)
    turns = ((a, x1), (b, x2), (a, x1))
    for got, expected in [(layer.backward(grad_y), relu_backward(reference, x, grad_y)) for layer, x in turns]:
        close(got, expected, what="grad_x")


@check(part="Relu", points=4, requires=["relu_forward"])
def relu_keeps_its_inputs(student, reference, rng):
    """Relu leaves x and grad_y as they were

    zh: Relu 不修改 x 和 grad_y
    """
    x, grad_y = rng.away_from_zero((3, 4)), rng.normal(size=(3, 4))
    x[0, 0], x[1, 1] = -abs(x[0, 0]), abs(x[1, 1])  # both signs, whatever was drawn
    held_x, held_grad = student.hold(x), student.hold(grad_y)
    layer = student.Relu()
    layer.forward(held_x)
    layer.backward(held_grad)
    unchanged(x=(held_x, x), grad_y=(held_grad, grad_y))


# The chain --------------------------------------------------------------------------------------------------------


@check(part="chain", points=0)
def given_softmax_is_whole(student, reference, rng):
    """Softmax, which the sheet gives complete, still works

    zh: 题目中给出的 Softmax 仍然正确
    """
    x, grad_y = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    compare_given(student.Softmax(), reference.Softmax(), x, grad_y)


@check(part="chain", points=0)
def given_log_is_whole(student, reference, rng):
    """Log, which the sheet gives complete, still works

    zh: 题目中给出的 Log 仍然正确
    """
    x, grad_y = np.abs(rng.normal(size=(2, 3))) + 0.1, rng.normal(size=(2, 3))
    compare_given(student.Log(), reference.Log(), x, grad_y)


def compare_given(mine, theirs, x, grad_y):
    forward, backward = ((layer.forward(x), layer.backward(grad_y)) for layer in (mine, theirs))
    for got, expected in zip(forward, backward, strict=True):
        close(got, expected)


class Chain:
    """Matmul, Relu, Matmul, Softmax, Log of one subject."""

    def __init__(self, subject):
        self.first, self.relu, self.second = subject.Matmul(), subject.Relu(), subject.Matmul()
        self.softmax, self.log = subject.Softmax(), subject.Log()

    def forward(self, x, W1, W2):
        """x: (batch, d), W1: (d, hidden), W2: (hidden, classes). Returns log probabilities (batch, classes)."""
        h = self.relu.forward(self.first.forward(x, W1))
        return self.log.forward(self.softmax.forward(self.second.forward(h, W2)))

    def backward(self, grad):
        """grad: (batch, classes), of the log probabilities. Returns grad_x, grad_W1, grad_W2."""
        grad = self.softmax.backward(self.log.backward(grad))
        grad, grad_W2 = unpack(self.second.backward(grad), "grad_x", "grad_W")
        grad_x, grad_W1 = unpack(self.first.backward(self.relu.backward(grad)), "grad_x", "grad_W")
        return grad_x, grad_W1, grad_W2


def chain_gradients_of(subject, x, W1, W2, label):
    chain = Chain(subject)
    chain.forward(x, W1, W2)
    return chain.backward(label)


CHAIN_SIZES = ((1, 2, 2, 2), (4, 5, 6, 3))  # (batch, d, hidden, classes)


def chain_inputs(rng, batch, d, hidden, classes):
    """Inputs whose hidden layer keeps clear of the kink of Relu, and one-hot labels as the gradient from above.

    No probability is below 0.001, so that the epsilon inside a student's Log, whatever its size, does not matter.
    """
    while True:
        x = rng.normal(size=tiny((batch, d)))
        W1, W2 = 0.5 * rng.normal(size=tiny((d, hidden))), 0.5 * rng.normal(size=tiny((hidden, classes)))
        log_prob = log_probabilities(x, W1, W2)
        if not near_kink(x @ W1, 0.05) and log_prob.min() > np.log(1e-3):
            return x, W1, W2, rng.one_hot(batch, classes)


def log_probabilities(x, W1, W2):
    """The whole chain in plain NumPy: (batch, classes)."""
    h = np.maximum(x @ W1, 0.0) @ W2
    h = h - h.max(axis=-1, keepdims=True)
    return h - np.log(np.exp(h).sum(axis=-1, keepdims=True))


@check(part="chain", points=8)
def chain_forward(student, reference, rng):
    """The chain gives the log probabilities of the reference

    zh: 整条链给出的对数概率与参考一致
    """
    inputs = [chain_inputs(rng, *sizes)[:3] for sizes in CHAIN_SIZES]
    for got, expected in [(Chain(student).forward(*args), Chain(reference).forward(*args)) for args in inputs]:
        close(got, expected, what="the result of the chain")


@check(part="chain", points=16)
def chain_gradients(student, reference, rng):
    """The gradients of x, W1 and W2 through the chain agree with the reference

    zh: 沿整条链得到的 x、W1、W2 的梯度与参考一致
    """
    inputs = [chain_inputs(rng, *sizes) for sizes in CHAIN_SIZES]
    for mine, theirs in [(chain_gradients_of(student, *args), chain_gradients_of(reference, *args)) for args in inputs]:
        for got, expected, name in zip(mine, theirs, ("grad_x", "grad_W1", "grad_W2"), strict=True):
            close(got, expected, what=name)


@check(part="chain", points=10, requires=["chain_forward"])
def chain_gradients_are_derivatives(student, reference, rng):
    """The gradients through the chain agree with finite differences of the log likelihood

    zh: 沿整条链的梯度与对数似然的有限差分一致
    """
    x, W1, W2, label = chain_inputs(rng, 3, 4, 5, 3)
    _, grad_W1, grad_W2 = chain_gradients_of(student, x, W1, W2, label)

    gradients(
        Gradient(got=grad_W1, function=lambda Ws: [log_probabilities(x, v, W2) for v in Ws], at=W1, what="grad_W1"),
        Gradient(got=grad_W2, function=lambda Ws: [log_probabilities(x, W1, v) for v in Ws], at=W2, what="grad_W2"),
        upstream=label,
        rng=rng,
    )
