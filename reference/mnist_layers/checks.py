"""Checks of mnist_layers: three layers, two nets made of them, their training, and what happens to the deeper one.

The expected values of the nets are computed here: their weights are large, and to send them to the reference's process
would cost more than the arithmetic. The weights are always set by the check, and small, so that no probability comes
near the epsilon of the cross entropy: a backward through -y / (p + eps) and Softmax and the short p - y agree there.

Two conventions are accepted everywhere: the gradient of the summed loss, as the sheet defines CrossEntropy.backward,
and that of the mean, 1/N of it. The column of ones stands last or first. The corner pixels of every digit are black, so
of the first and last row of W1 only the bias ever gets a gradient: that tells where the ones are.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grader.arrays import load_digits
from grader.checks import (
    CallError,
    CheckLimits,
    Gradient,
    check,
    close,
    expect,
    finite,
    gradients,
    settle,
    small_first,
    tiny,
    unchanged,
    unpack,
)
from grader.figures import attach, confusion, gradient_norms, loss_curve, numbers, worst_digits
from grader.training import all_moved, parameters, train

DIGITS = load_digits(Path(__file__).parents[1] / "data" / "mnist_5k.npz")
TWO, FOUR = (785, 100, 10), (785, 180, 100, 100, 10)
PIXELS, CLASSES, STEP = 784, 10, 1e-4


# The layers -------------------------------------------------------------------------------------------------------

SHAPES = ((1, 2, 3), (3, 2, 2), (5, 7, 3))  # (batch, d_in, d_out)


def layer_inputs(rng, shape):
    """X: (batch, d_in), W: (d_in, d_out), grad_H: (batch, d_out)."""
    batch, d_in, d_out = shape
    return tuple(rng.normal(size=tiny(size)) for size in ((batch, d_in), (d_in, d_out), (batch, d_out)))


def layer_backward(subject, X, W, grad_H):
    layer = subject.FullConnectionLayer()
    layer.forward(X, W)
    return unpack(layer.backward(grad_H), "grad_X", "grad_W")


def compare_layer_backward(student, reference, rng, which, name):
    inputs = [layer_inputs(rng, shape) for shape in small_first(*SHAPES)]
    pairs = [(layer_backward(student, *v), layer_backward(reference, *v)) for v in inputs]
    for got, expected in pairs:
        close(got[which], expected[which], what=name)


@check(part="FullConnectionLayer", points=4)
def layer_forward(student, reference, rng):
    """FullConnectionLayer.forward gives X @ W

    zh: FullConnectionLayer.forward 给出 X @ W
    """
    inputs = [layer_inputs(rng, shape)[:2] for shape in small_first(*SHAPES)]
    layers = [(subject.FullConnectionLayer(), subject.FullConnectionLayer()) for subject in (student, reference)]
    pairs = [(layers[0][0].forward(*XW), layers[1][0].forward(*XW)) for XW in inputs]
    for got, expected in pairs:
        close(got, expected, what="X @ W")


@check(part="FullConnectionLayer", points=5)
def layer_grad_X(student, reference, rng):
    """FullConnectionLayer.backward gives the gradient with respect to X

    zh: FullConnectionLayer.backward 给出对 X 的梯度
    """
    compare_layer_backward(student, reference, rng, 0, "grad_X")


@check(part="FullConnectionLayer", points=5)
def layer_grad_W(student, reference, rng):
    """FullConnectionLayer.backward gives the gradient with respect to W, summed over the batch

    zh: FullConnectionLayer.backward 给出对 W 的梯度（对整批求和）
    """
    compare_layer_backward(student, reference, rng, 1, "grad_W")


@check(part="FullConnectionLayer", points=2)
def layer_backward_is_the_derivative(student, reference, rng):
    """Both gradients agree with finite differences of X @ W

    zh: 两个梯度都与 X @ W 的有限差分一致
    """
    X, W, grad_H = layer_inputs(rng, (3, 4, 2))
    grad_X, grad_W = layer_backward(student, X, W, grad_H)
    layer = reference.FullConnectionLayer()
    gradients(
        Gradient(got=grad_X, function=lambda Xs: layer.forward.each([(v, W) for v in Xs]), at=X, what="grad_X"),
        Gradient(got=grad_W, function=lambda Ws: layer.forward.each([(X, v) for v in Ws]), at=W, what="grad_W"),
        upstream=grad_H,
        rng=rng,
    )


@check(part="FullConnectionLayer", points=2, requires=["layer_grad_X", "layer_grad_W"])
def layers_keep_state_apart(student, reference, rng):
    """Two layers, used one after the other and again, do not disturb each other

    zh: 两个层交替使用、重复使用时互不干扰
    """
    first, second, other = (layer_inputs(rng, (2, 3, 2)) for _ in range(3))
    a, b = student.FullConnectionLayer(), student.FullConnectionLayer()
    a.forward(*other[:2])
    a.forward(*first[:2])
    b.forward(*second[:2])
    names = ("grad_X", "grad_W")
    turns = ((a, first), (b, second), (a, first))
    pairs = [(unpack(layer.backward(v[2]), *names), layer_backward(reference, *v)) for layer, v in turns]
    for got, expected in pairs:
        for mine, right, name in zip(got, expected, names, strict=True):
            close(mine, right, what=name)


@check(part="FullConnectionLayer", points=1, requires=["layer_forward"])
def layer_keeps_its_inputs(student, reference, rng):
    """FullConnectionLayer leaves X, W and grad_H as they were

    zh: FullConnectionLayer 不修改 X、W 和 grad_H
    """
    values = layer_inputs(rng, (3, 3, 3))
    X, W, grad_H = (student.hold(value) for value in values)
    layer = student.FullConnectionLayer()
    layer.forward(X, W)
    layer.backward(grad_H)
    unchanged(X=(X, values[0]), W=(W, values[1]), grad_H=(grad_H, values[2]))


def relu_backward(subject, X, grad_H):
    layer = subject.Relu()
    layer.forward(X)
    return layer.backward(grad_H)


@check(part="Relu", points=3)
def relu_forward(student, reference, rng):
    """Relu.forward gives the positive part

    zh: Relu.forward 取正的部分
    """
    inputs = [4.0 * rng.normal(size=shape) for shape in small_first((1, 3), (2, 3), (6, 5))]
    for got, expected in [(student.Relu().forward(X), reference.Relu().forward(X)) for X in inputs]:
        close(got, expected)


@check(part="Relu", points=4)
def relu_backward_masks(student, reference, rng):
    """Relu.backward lets the gradient through where X was positive and stops it elsewhere

    zh: X 为正处 Relu.backward 让梯度通过，其余处截断
    """
    shapes = small_first((1, 3), (2, 3), (6, 5))
    inputs = [(4.0 * rng.away_from_zero(shape), rng.normal(size=shape)) for shape in shapes]
    pairs = [(relu_backward(student, *pair), relu_backward(reference, *pair)) for pair in inputs]
    # At exactly 0 there is no derivative: 0 and 1 are both in use, and what lies between is accepted.
    X, grad_H = np.array([[0.0, 2.0, -1.0]]), np.array([[5.0, 3.0, 4.0]])
    at_zero = relu_backward(student, X, grad_H)
    for got, expected in pairs:
        close(got, expected, what="grad_X")
    close(at_zero, [[0.0, 3.0, 0.0]], or_between=[[[5.0, 3.0, 0.0]]], what="grad_X")


@check(part="Relu", points=2, requires=["relu_backward_masks"])
def relus_keep_state_apart(student, reference, rng):
    """Two Relu, used one after the other and again, do not disturb each other

    zh: 两个 Relu 交替使用、重复使用时互不干扰
    """
    other, X1, X2 = (rng.away_from_zero((3, 4)) for _ in range(3))
    grad_H = rng.normal(size=(3, 4))
    a, b = student.Relu(), student.Relu()
    a.forward(other)
    a.forward(X1)
    b.forward(X2)
    turns = ((a, X1), (b, X2), (a, X1))
    for got, expected in [(layer.backward(grad_H), relu_backward(reference, X, grad_H)) for layer, X in turns]:
        close(got, expected, what="grad_X")


@check(part="Relu", points=1, requires=["relu_forward"])
def relu_keeps_its_inputs(student, reference, rng):
    """Relu leaves X and grad_H as they were

    zh: Relu 不修改 X 和 grad_H
    """
    X, grad_H = rng.away_from_zero((3, 4)), rng.normal(size=(3, 4))
    X[0, 0], X[1, 1] = -abs(X[0, 0]), abs(X[1, 1])  # both signs, whatever was drawn
    held_X, held_grad = student.hold(X), student.hold(grad_H)
    layer = student.Relu()
    layer.forward(held_X)
    layer.backward(held_grad)
    unchanged(X=(held_X, X), grad_H=(held_grad, grad_H))


def probabilities(rng, batch, classes):
    """(batch, classes), every entry above 0.02: the epsilon of the logarithm does not show."""
    p = rng.uniform(0.2, 1.0, size=(batch, classes))
    return p / p.sum(axis=1, keepdims=True)


ENTROPY_SIZES = ((1, 2), (2, 3), (8, 10))


@check(part="CrossEntropy", points=5)
def cross_entropy_forward(student, reference, rng):
    """CrossEntropy.forward is the mean over the batch of -sum y log p

    zh: CrossEntropy.forward 是 -sum y log p 对整批取的平均
    """
    inputs = [(probabilities(rng, n, k), rng.one_hot(n, k)) for n, k in ENTROPY_SIZES]
    pairs = [(student.CrossEntropy().forward(p, y), reference.CrossEntropy().forward(p, y)) for p, y in inputs]
    for got, expected in pairs:
        got = settle(got)
        got = got.reshape(()) if isinstance(got, np.ndarray) and got.size == 1 else got
        close(got, expected, atol=2e-6, what="loss")


@check(part="CrossEntropy", points=6)
def cross_entropy_backward(student, reference, rng):
    """CrossEntropy.backward is -y / (p + eps); both with the 1/N of the mean and without it are right

    zh: CrossEntropy.backward 是 -y / (p + eps)；除不除以平均值的 N 都算对
    """
    inputs = [(probabilities(rng, n, k), rng.one_hot(n, k)) for n, k in ENTROPY_SIZES]
    pairs = []
    for p, y in inputs:
        own, right = student.CrossEntropy(), reference.CrossEntropy()
        own.forward(p, y)
        right.forward(p, y)
        pairs.append((own.backward(y), right.backward(y)))
    for got, expected in pairs:
        summed = np.asarray(expected)
        close(got, nearest(got, summed, summed / len(summed)), atol=1e-4, what="grad_p")


@check(part="CrossEntropy", points=2)
def cross_entropy_survives_zeros(student, reference, rng):
    """A probability of exactly 0 gives neither NaN nor infinity

    zh: 概率恰好为 0 时，既不出现 NaN 也不出现无穷大
    """
    p, y = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    entropy = student.CrossEntropy()
    loss = entropy.forward(p, y)
    grad = entropy.backward(y)
    finite(loss, "loss")
    finite(grad, "grad_p")


# What is right for a net --------------------------------------------------------------------------------------------


def outputs(weights, X):
    """The input of every layer and the probabilities at the end: [X, h1_relu, ..., p]. X: (n, rows of W1)."""
    H = [X]
    for W in weights[:-1]:
        H.append(np.maximum(H[-1] @ W, 0.0))
    logits = H[-1] @ weights[-1]
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return [*H, e / e.sum(axis=1, keepdims=True)]


def loss_of(p, y):
    """Mean cross entropy. p, y: (n, 10)."""
    return float(-np.mean(np.sum(y * np.log(p + 1e-12), axis=1)))


def summed_gradients(weights, X, y):
    """Gradients of the cross entropy, summed over the batch, of every weight matrix."""
    *H, p = outputs(weights, X)
    delta, found = p - y, []
    for W, h in zip(weights[::-1], H[::-1], strict=True):
        found.append(h.T @ delta)
        delta = delta @ W.T * (h > 0)
    return found[::-1]


def descend(weights, X, y, step):
    return [W - step * G for W, G in zip(weights, summed_gradients(weights, X, y), strict=True)]


def shaped(got, shape, what):
    """Fails unless it is an array of numbers of this shape, whatever their values."""
    value = settle(got)
    if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype.kind != "f":
        close(got, np.zeros(shape), atol=np.inf, what=what)


def nearest(got, *candidates):
    """The candidate that is closest to what was got; the first when that is no array of the same shape."""
    mine = numbers(got, np.shape(candidates[0]))
    if mine is None or not np.all(np.isfinite(mine)):
        return candidates[0]
    return min(candidates, key=lambda c: float(np.sum((mine - c) ** 2)))


# The student's nets -------------------------------------------------------------------------------------------------


def scaled(images):
    return images / 255.0


def one_hot(labels):
    return np.eye(CLASSES)[labels]


def batch(rng, n):
    """n random digits to learn from: x (n, 28, 28) from 0 to 1, y (n, 10)."""
    chosen = rng.choice(len(DIGITS.x_train), n, replace=False)
    return scaled(DIGITS.x_train[chosen]), one_hot(DIGITS.y_train[chosen])


def takes(student, call):
    """Whether the student's code takes a call. One that raises is forgotten, so that the check can go on."""
    talk = student._conversation
    try:
        settle(call())
    except CallError:
        talk.failure = None
        talk.steps.pop()
        talk.answered = talk.sent = len(talk.steps)
        return False
    return True


def tried(student, call):
    """Whether a call works, and what it gives. Made to see how the code likes to be called, so it is not recorded."""
    talk = student._conversation
    if not takes(student, call):
        return False, None
    value = talk.steps.pop().value
    talk.answered = talk.sent = len(talk.steps)
    return True, value


def aside(model, call, *arguments):
    """A call whose result stays over there, an object like the model: it is free, so it tells no mistakes apart."""
    answer = call(*arguments)
    answer._step.request[0] = "new"
    return type(model)(answer._subject, answer._step, answer._label)


@dataclass
class Net:
    """A net of the student's with weights that the check knows.

    flat: it takes (n, 784). labelled: forward(x, y). place: the attribute with the probabilities, "" if returned.
    """

    student: object
    model: object
    weights: list
    flat: bool = False
    labelled: bool = False
    place: str = ""

    @property
    def depth(self):
        return len(self.weights)

    def hand(self, x):
        return x.reshape(len(x), -1) if self.flat else x

    def learn_to_call(self, x, y):
        """Finds how forward likes to be called. Returns whether it runs at all."""
        flat = x.reshape(len(x), PIXELS)
        for at, arguments in enumerate(((x,), (flat,), (x, y), (flat, y))):
            runs, value = tried(self.student, lambda arguments=arguments: self.model.forward(*arguments))
            if runs:
                self.flat, self.labelled = at in (1, 3), at in (2, 3)
                self.place = "" if numbers(value, (len(x), CLASSES)) is not None else self.where(len(x))
                return True
        return False

    def where(self, n):
        """The attribute with the probabilities of n images: that of the sheet, else whichever looks like it."""
        asked = f"h{self.depth}_soft"
        if tried(self.student, lambda: getattr(self.model, asked))[0]:
            return asked
        found = tried(self.student, lambda: parameters(self.model))[1] or {}
        alike = (name for name, a in found.items() if a.shape == (n, CLASSES) and np.allclose(a.sum(axis=1), 1.0))
        return next(alike, asked)

    def put(self, weights):
        for at, W in enumerate(weights, 1):
            setattr(self.model, f"W{at}", W)

    def forward(self, x, y):
        """The probabilities that forward returned, or left in an attribute."""
        left = aside(self.model, self.model.forward, self.hand(x), *([y] if self.labelled else []))
        return getattr(self.model, self.place) if self.place else left.value()

    def gradients(self):
        """The W*_grad, fetched from the last layer to the first, as backward finds them."""
        return [getattr(self.model, f"W{at}_grad") for at in range(self.depth, 0, -1)][::-1]

    def values(self):
        """The weights as they are now."""
        return [getattr(self.model, f"W{at}") for at in range(1, self.depth + 1)]

    def step(self, x, y):
        return aside(self.model, self.student.train_one_step, self.model, self.hand(x), y)

    def inputs(self, x, first=False):
        """x with the column of ones, if W1 has a row for it. Returns (n, rows of W1)."""
        pixels = x.reshape(len(x), PIXELS)
        if len(self.weights[0]) == PIXELS:
            return pixels
        ones = np.ones((len(x), 1))
        return np.hstack([ones, pixels] if first else [pixels, ones])

    def ones_first(self, W1_like):
        """Whether the column of ones stands first, seen from a gradient of W1 or from how W1 moved."""
        seen = numbers(W1_like, self.weights[0].shape)
        return seen is not None and bool(np.any(seen[0])) and not np.any(seen[-1])


def shapes_of(model, count):
    return [getattr(model, f"W{at}.shape") for at in range(1, count + 1)]


def usable(shapes, sizes):
    """The student's shapes where a net of them can run, however wide; else those of the sheet."""
    found = [settle(shape) for shape in shapes]
    chain = all(isinstance(s, tuple) and len(s) == 2 and all(0 < n <= 1000 for n in s) for s in found)
    rows = found[0][0] if chain and found[0][0] in (PIXELS, PIXELS + 1) else sizes[0]
    meet = chain and all(a[1] == b[0] for a, b in itertools.pairwise(found))
    if meet and found[0][0] == rows and found[-1][1] == CLASSES:
        return found
    return list(zip((rows, *sizes[1:-1]), sizes[1:], strict=True))


def look_at_layers(student):
    """Calls that nobody compares: when a failure is replayed, they tell a wrong net from a net of wrong layers."""
    X, other, y = np.array([[1.0, -2.0], [-1.0, 3.0]]), np.array([[-1.0, 2.0], [2.0, -3.0]]), np.eye(2)

    def calls():
        layers = student.FullConnectionLayer(), student.FullConnectionLayer()
        relus = student.Relu(), student.Relu()
        entropy = student.CrossEntropy()
        for layer, values in zip(layers, ((X, other), (other, X)), strict=True):
            layer.forward(*values)
        for relu, values in zip(relus, (X, other), strict=True):
            relu.forward(values)
        entropy.forward(np.array([[0.75, 0.25], [0.5, 0.5]]), y)
        layers[0].backward(X)
        relus[0].backward(other)
        return entropy.backward(y)

    takes(student, calls)


def net_of(student, name, sizes, rng, scale=0.1, even=False):
    """A new net with random weights. scale: a number, or None for sqrt(2 / rows), which keeps a signal's size.

    even: all hidden layers as wide as each other, so that a wrong order or a shared object gives wrong values, which
    can be recognised, and no error about shapes; unless the student's code only runs with its own sizes.
    """
    look_at_layers(student)
    net = Net(student, getattr(student, name)(), [])
    shapes = usable(shapes_of(net.model, len(sizes) - 1), sizes)
    x, y = batch(rng, 2)
    for hidden in (100, None) if even else (None,):
        if hidden:
            widths = (shapes[0][0], *[hidden] * (len(sizes) - 2), CLASSES)
            net.weights = drawn(itertools.pairwise(widths), rng, scale)
        else:
            net.weights = drawn(shapes, rng, scale)
        net.put(net.weights)
        if net.learn_to_call(x, y) and (not hidden or tried(student, lambda: net.model.backward(y))[0]):
            break
    return net


def drawn(shapes, rng, scale):
    return [(scale or (2.0 / shape[0]) ** 0.5) * rng.normal(size=shape) for shape in shapes]


def right_probabilities(student, net, x, y):
    got = net.forward(x, y)
    expected = [outputs(net.weights, net.inputs(x, first))[-1] for first in (False, True)]
    close(got, nearest(got, *expected), what=f"h{net.depth}_soft")


def right_gradients(student, net, x, y):
    """Fails at the last layer that is wrong: backward begins there, and what is wrong spoils the layers before it."""
    net.forward(x, y)
    net.model.backward(y)
    got = net.gradients()
    expected = summed_gradients(net.weights, net.inputs(x, net.ones_first(got[0])), y)
    mean = nearest(got[-1], expected[-1], expected[-1] / len(x)) is not expected[-1]
    for at in range(net.depth - 1, -1, -1):
        right = expected[at] / (len(x) if mean else 1)
        # An epsilon of 1e-7 in the logarithm is normal, and moves a gradient by this much.
        close(got[at], right, atol=1e-5 + 1e-4 * float(np.abs(right).max()), what=f"W{at + 1}_grad")


def follows_its_own_slope(student, net, x, y, rng):
    """The derivative of the student's loss along one random direction, by the student's own probabilities.

    A tenth of the gradient's norm is allowed: now and then a unit crosses the kink of its ReLU, and some nets compute
    in single precision. A gradient of another function is off by about its whole norm.
    """
    net.forward(x, y)
    net.model.backward(y)
    got = net.gradients()
    directions, h = [rng.normal(size=W.shape) for W in net.weights], 2e-5
    sides = []
    for sign in (1, -1):
        net.put([W + sign * h * D for W, D in zip(net.weights, directions, strict=True)])
        sides.append(net.forward(x, y))
    for value, W in zip(got, net.weights, strict=True):
        shaped(value, W.shape, "W_grad")
    for side in sides:
        shaped(side, (len(x), CLASSES), f"h{net.depth}_soft")
    plain = [np.asarray(G, dtype=np.float64) for G in got]
    norm = float(np.sqrt(sum(float(np.sum(G * G)) for G in plain)))
    along = np.float64(sum(float(np.sum(G * D)) for G, D in zip(plain, directions, strict=True)))
    p = [np.asarray(side, dtype=np.float64) for side in sides]
    slope = (loss_of(p[0], y) - loss_of(p[1], y)) / (2 * h)
    summed = slope * len(x)
    expect(
        0 < norm < np.inf and min(abs(along - summed), abs(along - slope)) <= 0.1 * norm,
        f"Along a random direction your loss changes by {summed:.4g} (summed over the batch) per unit, but your "
        f"gradients say {along:.4g}.",
        f"沿一个随机方向，你的损失（对整批求和）每单位变化 {summed:.4g}，而你的梯度给出的是 {along:.4g}。",
        got=along,
        expected=np.float64(summed),
    )


def follows_its_own_gradients(student, net, x, y):
    """One step moves every W by -c times the gradient that the net left, with the same positive c for all."""
    net.step(x, y)
    after, own = net.values(), net.gradients()
    names = [f"W{at}" for at in range(1, net.depth + 1)]
    for value, W, name in zip(after, net.weights, names, strict=True):
        shaped(value, W.shape, name)
    all_moved(dict(zip(names, net.weights, strict=True)), dict(zip(names, after, strict=True)))
    for value, name in zip(after[::-1], names[::-1], strict=True):
        finite(value, name)
    for grad, W, name in zip(own, net.weights, names, strict=True):
        shaped(grad, W.shape, f"{name}_grad")
    each = [step_size([W], [now], [np.asarray(G)]) for W, now, G in zip(net.weights, after, own, strict=True)]
    c = float(np.median(each))  # one weight that moves wrongly does not spoil what is said of the others
    expect(
        c > 0,
        "Your step goes along the gradient, so the loss grows: subtract the gradient.",
        "你的这一步是顺着梯度走的，损失会变大：应当减去梯度。",
        got=np.float64(c),
    )
    for at, name in enumerate(names):
        step = c * np.asarray(own[at])
        close(after[at], net.weights[at] - step, atol=1e-9 + 1e-3 * np.abs(step).max(), what=f"{name} (t = 1)")


def step_size(before, after, gradients_there):
    """The c of the best fit after = before - c * gradient, over all weights."""
    moved = [np.asarray(now) - W for now, W in zip(after, before, strict=True)]
    square = sum(float(np.sum(G * G)) for G in gradients_there)
    along = sum(float(np.sum(M * G)) for M, G in zip(moved, gradients_there, strict=True))
    return -along / square if square > 0 else 0.0


def loss_in(returned):
    """The loss in what a training step returned: a number, or the first of several; None when there is none."""
    value = settle(returned)
    value = value[0] if isinstance(value, (tuple, list)) and value else value
    return value.reshape(()) if isinstance(value, np.ndarray) and value.size == 1 else value


def right_trajectory(student, net, x, y, steps=4):
    """Beside gradient descent with the student's own step size, which the first step shows."""
    said = [net.step(x, y)]
    first = net.values()
    said += [net.step(x, y) for _ in range(steps - 1)]
    last = net.values()
    said = [loss_in(left.value()) for left in said]
    for at, W in enumerate(net.weights):
        shaped(first[at], W.shape, f"W{at + 1} (t = 1)")
    X = net.inputs(x, net.ones_first(np.asarray(first[0]) - net.weights[0]))
    gradients_there = summed_gradients(net.weights, X, y)
    c = step_size(net.weights, first, gradients_there)
    c = c if 0 < c < 1e4 * STEP else STEP  # beside a step that explodes, the sheet's
    path = [net.weights]
    for _ in range(steps):
        path.append(descend(path[-1], X, y, c))
    losses = [loss_of(outputs(weights, X)[-1], y) for weights in path]
    returned = numbers(said, (-1,))
    if returned is not None:
        before = abs(returned[0] - losses[0]) <= abs(returned[0] - losses[1])
        attach(student, loss_curve(yours=returned, reference=losses[:-1] if before else losses[1:], first=1))
    length = c * max(float(np.abs(G).max()) for G in gradients_there)
    for now, right, when in ((first, path[1], 1), (last, path[-1], steps)):
        for at in range(net.depth - 1, -1, -1):
            close(now[at], right[at], atol=1e-9 + 2e-3 * length, what=f"W{at + 1} (t = {when})")


def right_sizes(student, name, sizes):
    """W1 may lack the row for the ones column, which another check is about."""
    shapes = [settle(shape) for shape in shapes_of(getattr(student, name)(), len(sizes) - 1)]
    asked = list(itertools.pairwise(sizes))
    chain = "-".join(map(str, sizes))
    for at, (got, expected) in enumerate(zip(shapes, asked, strict=True), 1):
        known = isinstance(got, tuple) and len(got) == 2
        rows = shapes[at - 2][-1] if at > 1 else got[0] if known else sizes[0]
        apart = known and got[0] != rows
        turned = known and got == expected[::-1] != expected
        expect(
            got == expected or (at == 1 and got == (PIXELS, sizes[1])),
            f"W{at} has the shape {got}; in {chain} it is {expected}."
            + (f" Layer {at - 1} gives {rows} numbers, so W{at} needs {rows} rows." if apart else "")
            + (" It stands on its side: the products below need it transposed." if turned else ""),
            f"W{at} 的形状是 {got}；按 {chain} 应为 {expected}。"
            + (f"第 {at - 1} 层给出 {rows} 个数，所以 W{at} 需要 {rows} 行。" if apart else "")
            + ("它的行和列反了，下面各项的乘法都需要转置过来的形状。" if turned else ""),
            got=np.array(got),
            expected=np.array(expected),
        )


# myModel ------------------------------------------------------------------------------------------------------------


@check(part="myModel", points=0)
def given_softmax_is_whole(student, reference, rng):
    """Softmax, which the sheet gives complete, still works, if you kept it

    zh: 题目中给出的 Softmax 若还在，仍然正确
    """
    X, grad = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    if not takes(student, lambda: student.Softmax().forward(X)):
        return
    mine, right = student.Softmax(), reference.Softmax()
    pairs = [(mine.forward(X), right.forward(X)), (mine.backward(grad), right.backward(grad))]
    for got, expected in pairs:
        close(got, expected)


@check(part="myModel", points=1)
def two_sizes(student, reference, rng):
    """The weights of myModel have the sizes 785-100-10

    zh: myModel 的权重大小是 785-100-10
    """
    right_sizes(student, "myModel", TWO)


@check(part="myModel", points=5)
def two_probabilities(student, reference, rng):
    """From given weights, myModel.forward gives the right probabilities

    zh: 给定权重，myModel.forward 给出正确的概率
    """
    right_probabilities(student, net_of(student, "myModel", TWO, rng), *batch(rng, 8))


@check(part="myModel", points=10)
def two_gradients(student, reference, rng):
    """myModel.backward gives the right W2_grad and W1_grad, summed or averaged over the batch

    zh: myModel.backward 给出正确的 W2_grad 和 W1_grad（对整批求和或求平均均可）
    """
    right_gradients(student, net_of(student, "myModel", TWO, rng), *batch(rng, 12))


@check(part="myModel", points=2)
def two_gradients_fit_the_loss(student, reference, rng):
    """The gradients of myModel are the slope of the loss of its own probabilities

    zh: myModel 的梯度与它自己的概率算出的损失相符
    """
    follows_its_own_slope(student, net_of(student, "myModel", TWO, rng), *batch(rng, 8), rng)


@check(part="myModel", points=1)
def two_bias(student, reference, rng):
    """myModel has a bias: a column of ones beside the pixels, first or last

    zh: myModel 有偏置：像素之外还有一列 1，放在最前或最后都可以
    """
    net = net_of(student, "myModel", TWO, rng)
    expect(
        len(net.weights[0]) == PIXELS + 1,
        "Your W1 has 784 rows, one for each pixel, so there is none for a column of ones. Without it every black image "
        "gets the same ten probabilities, whatever is learnt. Everything else is graded without a bias.",
        "你的 W1 有 784 行，每个像素一行，没有给那一列 1 留位置。"
        "缺了偏置，无论学到什么，全黑的图像得到的十个概率都一样。其余各项按没有偏置的网络评分。",
    )
    black = np.zeros((1, 28, 28)), one_hot(np.array([3]))
    got = net.forward(*black)
    seen = numbers(got, (1, CLASSES))
    expect(
        seen is None or not np.allclose(seen, 1 / CLASSES, atol=1e-6),
        "For a black image all ten of your probabilities are 0.1: the column beside the pixels has no effect, so there "
        "is no bias. It must hold ones.",
        "输入全黑图像时，你的十个概率都是 0.1：像素旁边的那一列不起作用，也就没有偏置。这一列应当全是 1。",
        got=got,
    )
    right_probabilities(student, net, *black)


@check(part="myModel", points=4)
def two_step_follows_gradients(student, reference, rng):
    """train_one_step moves W1 and W2 of myModel down the gradients that backward left, by any step size

    zh: train_one_step 让 myModel 的 W1、W2 沿 backward 算出的梯度下降，步长不限
    """
    follows_its_own_gradients(student, net_of(student, "myModel", TWO, rng), *batch(rng, 20))


@check(part="myModel", points=3, requires=["two_step_follows_gradients"])
def two_trajectory(student, reference, rng):
    """Four steps of myModel end at the weights of gradient descent, with your step size

    zh: 以你的步长走四步，myModel 的权重与参考一致
    """
    right_trajectory(student, net_of(student, "myModel", TWO, rng), *batch(rng, 30))


@check(part="myModel", points=2, requires=["two_step_follows_gradients"])
def step_size_is_the_sheets(student, reference, rng):
    """The step size is 1e-4 for the summed loss, or as much larger as the 1/N of a mean makes it smaller

    zh: 对求和的损失，步长是 1e-4；若梯度里有 1/N，步长就相应放大
    """
    net = net_of(student, "myModel", TWO, rng)
    batches = [batch(rng, n) for n in (10, 20)]
    seen = []
    for x, y in batches:
        net.step(x, y)
        seen.append((net.values(), net.gradients()))  # the gradients tell mistakes apart when this is replayed
    weights, of_sum = net.weights, []
    for (x, y), (after, own) in zip(batches, seen, strict=True):
        for value, W, name in zip(
            (*after, *own), (*weights, *weights), ("W1", "W2", "W1_grad", "W2_grad"), strict=True
        ):
            shaped(value, W.shape, name)
        moved, own = ([np.asarray(value) for value in values] for values in (after, own))
        right = summed_gradients(weights, net.inputs(x, net.ones_first(own[0])), y)
        averaged = abs(-step_size([np.zeros_like(G) for G in own], own, right) * len(x) - 1) < 0.01
        of_sum.append(step_size(weights, moved, own) / (len(x) if averaged else 1))
        weights = moved
    c, of_mean = of_sum[0], of_sum[0] * 10
    mean = abs(c - 2 * of_sum[1]) < 0.01 * abs(c)  # half as long on a batch twice as large
    expect(
        0.01 <= of_mean <= 5 if mean else max(abs(size / STEP - 1) for size in of_sum) < 0.01,
        f"Your step is {of_mean:.3g} times the gradient of the mean loss. With the 1/N in it the step size has to be N "
        "times 1e-4, so for thousands of digits about 0.1 to 0.5."
        if mean
        else f"Your step is {c:.3g} times the gradient of the summed loss; the sheet asks for 1e-4 times.",
        f"你的步子是平均损失梯度的 {of_mean:.3g} 倍。"
        "梯度里有 1/N 时，步长应为 1e-4 的 N 倍，对几千张图约为 0.1 到 0.5。"
        if mean
        else f"你的步子是求和损失梯度的 {c:.3g} 倍，题目要求 1e-4 倍。",
        got=np.float64(of_mean if mean else c),
        expected=None if mean else np.float64(STEP),
    )


@check(part="myModel", points=1)
def step_returns_the_loss(student, reference, rng):
    """What train_one_step returns, if anything, is the mean loss before or after the step

    zh: train_one_step 若有返回值，返回的是这一步之前或之后的平均损失
    """
    net, (x, y) = net_of(student, "myModel", TWO, rng), batch(rng, 10)
    answer = student.train_one_step(net.model, net.hand(x), y)
    after = net.values()
    loss = loss_in(answer)
    moved = [numbers(value, W.shape) for value, W in zip(after, net.weights, strict=True)]
    expect(
        all(value is not None and bool(np.any(value != W)) for value, W in zip(moved, net.weights, strict=True)),
        "train_one_step does not change the weights.",
        "train_one_step 没有改变权重。",
    )
    if loss is None:
        return
    X = net.inputs(x, net.ones_first(moved[0] - net.weights[0]))
    losses = [loss_of(outputs(weights, X)[-1], y) for weights in (net.weights, moved)]
    close(loss, nearest(loss, *map(np.float64, losses)), atol=1e-4, what="loss")


@check(part="myModel", points=1)
def nets_keep_their_inputs(student, reference, rng):
    """Forward, backward and a step leave x and the labels as they were

    zh: forward、backward 和一步训练都不修改 x 和标签
    """
    net, (x, y) = net_of(student, "myModel", TWO, rng), batch(rng, 3)
    x = net.hand(x)
    held_x, held_y = student.hold(x), student.hold(y)
    net.model.forward(held_x, *([held_y] if net.labelled else []))
    net.model.backward(held_y)
    student.train_one_step(net.model, held_x, held_y)
    unchanged(x=(held_x, x), y=(held_y, y))


EPOCHS, LEARNT_FROM = 30, 1000
# The mean loss before each of the 30 steps of solution.py: mean of five runs from random weights of the check's scale.
TYPICAL = (
    2.5, 2.33, 2.22, 2.14, 2.06, 1.99, 1.93, 1.87, 1.81, 1.75, 1.7, 1.65, 1.6, 1.55, 1.5,
    1.46, 1.41, 1.37, 1.33, 1.3, 1.26, 1.22, 1.19, 1.16, 1.13, 1.1, 1.08, 1.05, 1.03, 1.0,
)  # fmt: skip
TRAINING = CheckLimits(cpu_s=20.0, wall_s=40.0)


def trained(student, rng, epochs):
    """The net after so many steps on 1,000 digits; what each step returned; probabilities of the scoring digits."""
    net = net_of(student, "myModel", TWO, rng)
    x, y = student.hold(net.hand(scaled(DIGITS.x_train[:LEARNT_FROM]))), one_hot(DIGITS.y_train[:LEARNT_FROM])
    y, labels = student.hold(y), one_hot(DIGITS.y_train[:500])  # forward may ask for labels: any will do
    x_scoring = scaled(DIGITS.x_scoring)
    before = net.forward(x_scoring, labels)
    run = train(student, lambda: student.train_one_step(net.model, x, y), epochs, model=net.model)
    after = net.forward(x_scoring, labels)
    for p in (before, after):
        shaped(p, (len(x_scoring), CLASSES), f"h{net.depth}_soft")
    return run, np.asarray(before), np.asarray(after)


@check(part="myModel", points=6, replay=False, limits=TRAINING)
def training_teaches_the_net(student, reference, rng):
    """After 30 steps on 1,000 digits, myModel recognises at least half of 500 digits that it has not seen

    zh: 用 1,000 张图训练 30 步后，myModel 至少认对一半没见过的 500 张图
    """
    run, before, after = trained(student, rng, EPOCHS)
    p, labels = after, DIGITS.y_scoring.astype(int)
    share, at_first = (float(np.mean(q.argmax(axis=1) == labels)) for q in (after, before))
    losses = [loss_of(q, one_hot(labels)) for q in (before, after)]
    attach(student, loss_curve(yours=run.losses(), reference=TYPICAL, first=1, typical=True))
    attach(student, confusion(labels=labels, predictions=p.argmax(axis=1)))
    attach(student, worst_digits(images=scaled(DIGITS.x_scoring), labels=labels, probabilities=p))
    expect(
        share >= 0.5,
        f"It recognises {100 * share:.0f} % of them, {100 * at_first:.0f} % before the training; the loss on them went "
        f"from {losses[0]:.3g} to {losses[1]:.3g}. With right gradients and the sheet's step it is about 65 to 80 %.",
        f"它认对了 {100 * share:.0f} %，训练前是 {100 * at_first:.0f} %；这些图上的损失从 {losses[0]:.3g} 变为 "
        f"{losses[1]:.3g}。梯度正确、步长与题目一致时，约为 65 % 到 80 %。",
        got=np.float64(share),
        expected=np.float64(0.5),
    )


# myModel2 -----------------------------------------------------------------------------------------------------------


@check(part="myModel2", points=3)
def four_sizes(student, reference, rng):
    """The weights of myModel2 have the sizes 785-180-100-100-10

    zh: myModel2 的权重大小是 785-180-100-100-10
    """
    right_sizes(student, "myModel2", FOUR)


@check(part="myModel2", points=4)
def four_probabilities(student, reference, rng):
    """From given weights, myModel2.forward gives the right probabilities

    zh: 给定权重，myModel2.forward 给出正确的概率
    """
    right_probabilities(student, net_of(student, "myModel2", FOUR, rng), *batch(rng, 8))


@check(part="myModel2", points=8)
def four_gradients(student, reference, rng):
    """myModel2.backward gives the right W4_grad, W3_grad, W2_grad and W1_grad

    zh: myModel2.backward 给出正确的 W4_grad、W3_grad、W2_grad 和 W1_grad
    """
    right_gradients(student, net_of(student, "myModel2", FOUR, rng, even=True), *batch(rng, 12))


@check(part="myModel2", points=4)
def four_step_follows_gradients(student, reference, rng):
    """train_one_step moves all four weights of myModel2 down the gradients that backward left

    zh: train_one_step 让 myModel2 的四个权重都沿 backward 算出的梯度下降
    """
    follows_its_own_gradients(student, net_of(student, "myModel2", FOUR, rng, even=True), *batch(rng, 20))


@check(part="myModel2", points=3, requires=["four_step_follows_gradients"])
def four_trajectory(student, reference, rng):
    """Four steps of myModel2 end at the weights of gradient descent, with your step size

    zh: 以你的步长走四步，myModel2 的权重与参考一致
    """
    right_trajectory(student, net_of(student, "myModel2", FOUR, rng, even=True), *batch(rng, 20))


@check(part="myModel2", points=0, requires=["two_gradients", "four_gradients"], replay=False)
def gradient_norms_are_shown(student, reference, rng):
    """Shown, not graded: each layer's gradient, from N(0, 1) weights and from sqrt(2/n) times them

    zh: 仅展示、不计分：权重取 N(0, 1) 以及再乘 sqrt(2/n) 时，各层梯度的大小
    """
    x, y = batch(rng, 40)
    norms = {}
    for label, name, sizes, scale in (
        ("myModel", "myModel", TWO, 1.0),
        ("myModel2", "myModel2", FOUR, 1.0),
        ("myModel2, √(2/n)", "myModel2", FOUR, None),
    ):
        net = net_of(student, name, sizes, rng, scale)
        net.forward(x, y)
        net.model.backward(y)
        found = net.gradients()
        norms[label] = {f"W{at}": norm_of(G) for at, G in enumerate(found, 1)}
    attach(student, gradient_norms(norms=norms))


def norm_of(grad):
    """Not below 1e-12: the gradients of a saturated net are often exactly 0, which a log scale cannot show."""
    array = numbers(grad)
    return 0.0 if array is None else max(1e-12, float(np.linalg.norm(array)))
