"""Checks of function_fit_numpy. x and y are columns (n, 1), float64; n rows are a batch.

A student's parameters may be arranged in other ways than the sheet's (the ones first, a b1 beside W1): `Form` says
where the numbers of `Net` stand there. `Net` computes what is right, in plain NumPy; the check gives the weights.
"""

from dataclasses import dataclass, replace

import numpy as np

from grader.checks import (
    CheckLimits,
    check,
    close,
    expect,
    near_kink,
    settle,
    small_first,
    tiny,
    unchanged,
    unpack,
    with_example,
)
from grader.figures import EPOCH, FAINT, GREEN, ORANGE, Figure, Text, attach, fit, loss_curve, short
from grader.training import EPOCHS, parameters, train

MOST_UNITS = 20_000  # the check computes with as many numbers itself
STEP, TOP = 0.06, 500  # step and epochs with which the reference comes nearest to the report's curve
MARKS = (0, 50, 100, 200, 500)
LOSS = Text(en="mean squared error", zh="均方误差")
# Epoch and error of the reference on the points of `sheet`, from the weights of `start`, computed with Net. The report
# that the sheet is taken from has 1.716, 0.033, 0.016, 0.006, 0.001 at epochs 0, 50, 100, 200, 500.
CURVE = np.array([
    (0, 1.7223), (1, 0.74328), (2, 0.40623), (3, 0.23897), (4, 0.172), (5, 0.13668), (6, 0.11687), (8, 0.094972),
    (10, 0.082464), (15, 0.066061), (20, 0.05765), (30, 0.046553), (40, 0.038423), (50, 0.03232), (75, 0.02222),
    (100, 0.01696), (150, 0.010411), (200, 0.0066589), (250, 0.0044086), (300, 0.0030286), (350, 0.002161),
    (400, 0.0015947), (450, 0.0012133), (500, 0.00094985),
])  # fmt: skip


def f(x):
    """The sheet's function, without its noise."""
    return -2.0 / (2.0 + np.sin(x))


def column(n, value=1.0):
    return np.full((n, 1), value)


# The network and how a student wrote it ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Net:
    """[relu([x, 1] W1), 1] W2. W1: (2, H), the bias last; W2: (H + 1, 1), the bias last, which the sheet has not."""

    W1: np.ndarray
    W2: np.ndarray

    def forward(self, x):
        """x: (n, 1). Returns h1 and h1_relu, (n, H), and the prediction, (n, 1)."""
        h1 = np.hstack([x, column(len(x))]) @ self.W1
        return h1, np.maximum(h1, 0.0), np.hstack([np.maximum(h1, 0.0), column(len(x))]) @ self.W2

    def gradients(self, x, y):
        """Of mean((prediction - y)^2): those of W1 and W2, of their shapes."""
        h1, relu, prediction = self.forward(x)
        grad = 2.0 / len(x) * (prediction - y)
        grad_h1 = (grad @ self.W2[:-1].T) * (h1 > 0)
        return np.hstack([x, column(len(x))]).T @ grad_h1, np.hstack([relu, column(len(x))]).T @ grad


@dataclass(frozen=True)
class Form:
    """How a student keeps Net's numbers. into, out: where the bias of W1 and of W2 is: "last" or "first" row, "" for
    nowhere, or the name and the number of axes of a vector of its own.
    """

    hidden: int
    into: object = "last"
    out: object = ""

    @property
    def names(self):
        """What the student calls the parts of W1, and those of W2."""
        one, two = ([vector[0]] if isinstance(vector, tuple) else [] for vector in (self.into, self.out))
        return ["W1", *one], ["W2", *two]

    def of(self, first, second):
        """{name: value, as the student keeps it} of two matrices like Net's."""
        return kept("W1", first, self.into) | kept("W2", second, self.out)

    def give(self, model, net):
        """Sets the student's parameters to the net's."""
        for name, value in self.of(net.W1, net.W2).items():
            setattr(model, name, value)

    def cut(self, net):
        """The net, with 0 for each bias that the student has not."""
        first, second = net.W1.copy(), net.W2.copy()
        first[-1] *= bool(self.into)
        second[-1] *= bool(self.out)
        return Net(first, second)

    def draw(self, rng, hidden=0):
        """A net with random numbers where the student has parameters; whole numbers for a few hidden units."""
        size = hidden or self.hidden
        scale = 1.0 if hidden else 0.3
        W1, W2 = scale * rng.normal(size=tiny((2, size))), scale * rng.normal(size=tiny((size, 1)))
        return self.cut(Net(W1, np.vstack([W2, [[2.0]]])))


def kept(name, matrix, bias):
    if not bias:
        return {name: matrix[:-1]}
    if bias == "first":
        return {name: np.vstack([matrix[-1:], matrix[:-1]])}
    if bias == "last":
        return {name: matrix}
    return {name: matrix[:-1], bias[0]: matrix[-1:].reshape((1,) * (bias[1] - 1) + (-1,))}


def form_of(model):
    """How this model keeps its weights; fails where they cannot be those of the sheet's network."""
    first, second = shape_of(model, "W1"), shape_of(model, "W2")
    expect(
        len(first) == 2 and first[0] in (1, 2) and first[1] > 0 and second in ((first[1], 1), (first[1] + 1, 1)),
        f"W1 has the shape {first} and W2 {second}; the sheet asks for (2, 640) and (640, 1): one row of W1 for x and "
        "one for the column of ones, and as many rows of W2 as there are hidden units.",
        f"W1 的形状是 {first}，W2 的形状是 {second}；题目要求 (2, 640) 和 (640, 1)：W1 一行对应 x、一行对应全 1 列，"
        "W2 的行数等于隐藏单元数。",
    )
    hidden = first[1]
    expect(
        hidden <= MOST_UNITS,
        f"Your hidden layer has {hidden} units, more than can be trained here; the sheet asks for 640.",
        f"你的隐藏层有 {hidden} 个单元，多到无法在这里训练；题目要求 640 个。",
    )
    form = Form(hidden, "last" if first[0] == 2 else "", "last" if second[0] > hidden else "")
    if not form.into:
        form = replace(form, **vectors(settle(parameters(model)), hidden))
    one_two = np.repeat([[1.0], [2.0]], hidden, axis=1)
    if form.into == "last" and ones_are_left(model, form, one_two, 1.0 / hidden):
        form = replace(form, into="first")
    if form.out == "last" and ones_are_left(model, form, np.zeros((2, hidden)), 1.0):
        form = replace(form, out="first")
    return form


def shape_of(model, name):
    shape = settle(getattr(model, f"{name}.shape"))
    return shape if isinstance(shape, tuple) else ()


def vectors(own, hidden):
    """A b1 and a b2 beside the weights: found by their names, which begin with b, and by their sizes."""
    found = {name: np.asarray(value) for name, value in own.items() if name[0] in "bB" and not name.endswith("_grad")}
    by_size = {value.size: (name, value.ndim) for name, value in found.items()}
    return {where: by_size[size] for where, size in (("out", 1), ("into", hidden)) if size in by_size}


def ones_are_left(model, form, first, second):
    """Whether the ones stand left, so that the first row is the bias: the prediction at x = 0 is then 1."""
    form.give(model, Net(first, np.vstack([column(form.hidden, second), [[0.0]]])))
    got = settle(model.forward(np.zeros((1, 1))))
    return isinstance(got, (np.ndarray, float)) and np.size(got) == 1 and abs(float(np.sum(got)) - 1.0) < 1e-9


# data -------------------------------------------------------------------------------------------------------------

# What -2 / (2 + sin x) becomes by a slip of the pen; another function altogether is the student's own choice.
SLIPS = {
    "2 / (2 + sin x)": lambda x: -f(x),
    "-2 / 2 + sin x": lambda x: -1.0 + np.sin(x),
    "-2 / (2 - sin x)": lambda x: f(-x),
    "-2 / (2 + cos x)": lambda x: -2.0 / (2.0 + np.cos(x)),
    "-2 / (2 + sin² x)": lambda x: -2.0 / (2.0 + np.sin(x) ** 2),
    "-2 / (2 + sin x²)": lambda x: -2.0 / (2.0 + np.sin(x**2)),
    "-1 / (2 + sin x)": lambda x: 0.5 * f(x),
    "-2 + sin x": lambda x: -2.0 + np.sin(x),
}


def is_the_sheets(x, y, function=f):
    return bool(np.mean(np.abs(y - function(x))) < 0.1)


@dataclass(frozen=True)
class Sets:
    """x and y for training and for the test, columns. exact: returned as the sheet asks."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    exact: bool


def sets_of(value):
    """The four arrays that generate_dataset returned, however they are nested; fails when they are not there."""
    value = settle(value)
    pairs = isinstance(value, (tuple, list)) and [len(v) for v in value if isinstance(v, (tuple, list))] == [2, 2]
    four = [array for pair in value for array in pair] if pairs and len(value) == 2 else value
    arrays = [np.asarray(v) for v in four] if isinstance(four, (tuple, list)) and len(four) == 4 else []
    if not pairs and len(arrays) == 4 and arrays[0].size == arrays[2].size != arrays[1].size == arrays[3].size:
        arrays = [arrays[i] for i in (0, 2, 1, 3)]  # x_train, x_test, y_train, y_test
    numbers = [a for a in arrays if a.dtype.kind in "iuf" and a.size]
    odd = sum(int(np.sum(~np.isfinite(a))) for a in numbers)
    expect(
        odd == 0,
        f"{odd} of the numbers that generate_dataset returns are infinite or NaN: is target_fun defined on all of your "
        "interval?",
        f"generate_dataset 返回的数里有 {odd} 个是无穷大或 NaN：你的 target_fun 在整个区间上都有定义吗？",
    )
    sizes = [a.size for a in numbers]
    expect(
        len(sizes) == 4 and sizes[0] == sizes[1] and sizes[2] == sizes[3],
        f"generate_dataset returns {told(value)}; ((x_train, y_train), (x_test, y_test)) is asked for, where every x "
        "has one y.",
        f"generate_dataset 返回的是 {told(value)}；题目要求 ((x_train, y_train), (x_test, y_test))，"
        "每个 x 对应一个 y。",
    )
    columns = [a.astype(np.float64).reshape(-1, 1) for a in numbers]
    return Sets(*columns, exact=bool(pairs) and all(a.shape == (a.size, 1) for a in numbers))


def told(value):
    """The nesting of a returned value, with the shapes of its arrays."""
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(told(item) for item in value[:6]) + ("" if len(value) < 7 else ", ...") + ")"
    return f"{value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


@check(part="data", points=3)
def target_keeps_the_shape(student, reference, rng):
    """target_fun takes an array and gives finite numbers of its shape

    zh: target_fun 接收数组，返回同样形状的有限数值
    """
    x = np.sort(rng.uniform(0.5, 2.5, size=(6, 1)), axis=0)
    y, wide = student.target_fun(x), student.target_fun(np.linspace(-2.9, 2.9, 40).reshape(-1, 1))
    close(y, np.zeros((6, 1)), atol=np.inf, what="target_fun(x)")
    expect(
        float(np.ptp(np.asarray(settle(y)))) > 0.0 or np.unique(np.asarray(settle(wide))).size > 1,
        "target_fun gives the same number for every x, so there is nothing to learn.",
        "target_fun 对每个 x 都给出同一个数，没有可学的内容。",
        got=y,
    )


@check(part="data", points=2)
def target_is_meant(student, reference, rng):
    """target_fun is the sheet's -2 / (2 + sin x), or a function of your own

    zh: target_fun 是题目的 -2 / (2 + sin x)，或者你自己选的函数
    """
    x = np.linspace(-2.9, 2.9, 61).reshape(-1, 1)
    y = np.asarray(settle(student.target_fun(x))).reshape(x.shape)
    slip = next((text for text, wrong in SLIPS.items() if is_the_sheets(x, y, wrong)), None)
    expect(
        slip is None or is_the_sheets(x, y),
        f"Your target_fun is {slip}; the sheet's is -2 / (2 + sin x). A function of your own is welcome too, but "
        "this one looks like a slip.",
        f"你的 target_fun 是 {slip}；题目的函数是 -2 / (2 + sin x)。也可以自己选函数，不过这个看起来像是笔误。",
        got=y[:6],
        expected=f(x)[:6],
    )


@check(part="data", points=2)
def noise_is_small_and_uniform(student, reference, rng):
    """The noise is drawn for every point and stays within 0.01

    zh: 每个点各有一份噪声，绝对值不超过 0.01
    """
    x = rng.uniform(-2.9, 2.9, size=(300, 1))
    y, again = (np.asarray(settle(student.target_fun(x))).reshape(x.shape) for _ in "12")
    own = not is_the_sheets(x, y)
    noise = y - again if own else y - f(x)
    if not own and not np.any(np.abs(noise) > 1e-9) and has(student, "generate_dataset"):
        sets = sets_of(student.generate_dataset())
        noise = sets.y - f(sets.x)
    there = np.isfinite(noise)  # a function of one's own, log x say, need not be defined everywhere
    noise, y = (noise[there], y[there]) if there.any() and own else (noise, y)
    size = float(np.max(np.abs(noise)))
    limit = 0.2 * float(np.std(y)) if own else 0.0105
    same = size > 1e-9 and float(np.ptp(noise)) < 1e-9
    expect(not same, "All points get the same random number: draw one for each, size=x.shape.",
           "所有点加的是同一个随机数：请给每个点各抽一个，size=x.shape。")  # fmt: skip
    expect(own or size > 1e-9, "There is no noise: target_fun should add uniform noise from (-0.01, 0.01).",
           "没有噪声：target_fun 应当加上取自 (-0.01, 0.01) 的均匀噪声。")  # fmt: skip
    expect(
        size <= limit,
        f"Your noise reaches {short(size)}; what is asked for stays within ±0.01. (np.random.normal has no bound.)",
        f"你的噪声最大到 {short(size)}；取自 (-0.01, 0.01) 的均匀噪声不会超出 ±0.01。（np.random.normal 没有上界。）",
    )


def has(student, name):
    """Whether the student's file defines a name."""
    return settle(student.get("__dict__.__contains__")(name)) is True


@check(part="data", points=2)
def there_are_two_sets(student, reference, rng):
    """generate_dataset gives points to train and points to test

    zh: generate_dataset 给出训练点和测试点
    """
    sets_of(student.generate_dataset())


@check(part="data", points=1, requires=["there_are_two_sets"])
def sets_are_pairs_of_columns(student, reference, rng):
    """It returns ((x_train, y_train), (x_test, y_test)), columns of shape (n, 1)

    zh: 返回值是 ((x_train, y_train), (x_test, y_test))，都是 (n, 1) 的列
    """
    value = student.generate_dataset()
    expect(
        sets_of(value).exact,
        f"It returns {told(settle(value))}. Every x and y should be a column (n, 1), and the two pairs nested: with "
        "(n,) beside (n, 1), NumPy broadcasts a difference to (n, n).",
        f"它返回的是 {told(settle(value))}。x 和 y 都应是 (n, 1) 的列，并且两两成对：(n,) 与 (n, 1) 相减，"
        "NumPy 会广播成 (n, n)。",
    )


@check(part="data", points=2, requires=["there_are_two_sets"])
def a_third_is_held_out(student, reference, rng):
    """Of 600 points, 30 % are held out for the test

    zh: 600 个点中留出 30 % 用于测试
    """
    sets = sets_of(student.generate_dataset())
    n, test = len(sets.x) + len(sets.x_test), len(sets.x_test)
    more = Text(en=" Are the two sets swapped?", zh="两个集合是不是反了？") if test == 0.7 * n else Text(en="", zh="")
    expect(
        n == 600 and abs(test - 180) <= 1,
        f"You have {n} points and test on {test} of them; 600 and 180 are asked for.{more.en}",
        f"你一共有 {n} 个点，其中 {test} 个用于测试；题目要求 600 个和 180 个。{more.zh}",
    )


@check(part="data", points=3, requires=["there_are_two_sets"])
def no_test_point_trains(student, reference, rng):
    """No test point is also a training point

    zh: 测试点都没有参与训练
    """
    sets = sets_of(student.generate_dataset())
    shared = int(np.sum(np.isin(sets.x_test, sets.x)))
    expect(
        shared == 0,
        f"{shared} of your {len(sets.x_test)} test points also train, so the test error measures memory. Split one "
        "shuffled order in two.",
        f"{len(sets.x_test)} 个测试点里有 {shared} 个也在训练集里，测试误差量到的就成了记忆。"
        "请把打乱后的同一个顺序切成两段。",
    )


@check(part="data", points=3, requires=["there_are_two_sets"])
def both_sets_cover_the_interval(student, reference, rng):
    """Training and test points come from the same interval; for the sheet's function (-3, 3)

    zh: 训练点和测试点来自同一个区间；题目的函数取 (-3, 3)
    """
    sets = sets_of(student.generate_dataset())
    low, high = float(sets.x.min()), float(sets.x.max())
    beyond = int(np.sum((sets.x_test < low) | (sets.x_test > high)))
    expect(
        beyond <= 0.1 * len(sets.x_test),
        f"{beyond} of your {len(sets.x_test)} test points lie outside of the training interval, {short(low)} to "
        f"{short(high)}: the points were split in their order. Shuffle before you split.",
        f"{len(sets.x_test)} 个测试点里有 {beyond} 个落在训练区间 {short(low)} 到 {short(high)} 之外："
        "数据是按顺序切开的。请先打乱再划分。",
    )
    fills = low >= -3.01 and high <= 3.01 and high - low > 5.0
    expect(
        fills or not is_the_sheets(sets.x, sets.y),
        f"Your x go from {short(low)} to {short(high)}; the sheet asks for the interval (-3, 3).",
        f"你的 x 从 {short(low)} 到 {short(high)}；题目要求的区间是 (-3, 3)。",
    )


@check(part="data", points=2, requires=["there_are_two_sets"])
def every_y_belongs_to_its_x(student, reference, rng):
    """Every y is target_fun of its own x

    zh: 每个 y 都是它自己的 x 的 target_fun 值
    """
    sets = sets_of(student.generate_dataset())
    for x, y, which in ((sets.x, sets.y, "train"), (sets.x_test, sets.y_test, "test")):
        right = np.asarray(settle(student.target_fun(x))).reshape(y.shape)
        expect(
            float(np.mean(np.abs(y - right))) <= 0.2 * float(np.std(right)) + 1e-9,
            f"y_{which} is not target_fun of x_{which}: shuffle x and y with the same order, or both before the split.",
            f"y_{which} 不是 x_{which} 的 target_fun 值：x 和 y 要按同一个顺序打乱。",
            got=y[:4],
            expected=right[:4],
        )


# layers -----------------------------------------------------------------------------------------------------------

SHAPES = ((1, 2, 3), (3, 2, 2), (5, 2, 7))  # (n, d_in, d_out)


def matmul_inputs(rng, shape):
    """x: (n, d_in), W: (d_in, d_out), grad_y: (n, d_out)."""
    n, d_in, d_out = shape
    return tuple(rng.normal(size=tiny(size)) for size in ((n, d_in), (d_in, d_out), (n, d_out)))


def matmul_gradient(student, rng, which, name):
    cases = [matmul_inputs(rng, shape) for shape in small_first(*SHAPES)]
    found = []
    for x, W, grad_y in cases:
        layer = student.Matmul()
        layer.forward(x, W)
        found.append(unpack(layer.backward(grad_y), "grad_x", "grad_W")[which])
    for got, (x, W, grad_y) in zip(found, cases, strict=True):
        close(got, (grad_y @ W.T, x.T @ grad_y)[which], what=name)


@check(part="layers", points=4)
def matmul_forward(student, reference, rng):
    """Matmul.forward gives x @ W

    zh: Matmul.forward 给出 x @ W
    """
    cases = [matmul_inputs(rng, shape)[:2] for shape in small_first(*SHAPES)]
    for got, (x, W) in [(student.Matmul().forward(*case), case) for case in cases]:
        close(got, x @ W, what="x @ W")


@check(part="layers", points=4)
def matmul_grad_x(student, reference, rng):
    """Matmul.backward gives the gradient with respect to x

    zh: Matmul.backward 给出对 x 的梯度
    """
    matmul_gradient(student, rng, 0, "grad_x")


@check(part="layers", points=4)
def matmul_grad_W(student, reference, rng):
    """Matmul.backward gives the gradient with respect to W

    zh: Matmul.backward 给出对 W 的梯度
    """
    matmul_gradient(student, rng, 1, "grad_W")


@check(part="layers", points=3)
def relu_forward(student, reference, rng):
    """Relu.forward gives the positive part

    zh: Relu.forward 取正的部分
    """
    inputs = [4.0 * rng.normal(size=shape) for shape in small_first((1, 3), (2, 3), (6, 5))]
    for got, x in [(student.Relu().forward(x), x) for x in inputs]:
        close(got, np.maximum(x, 0.0))


@check(part="layers", points=4)
def relu_backward(student, reference, rng):
    """Relu.backward lets the gradient through where x is positive and stops it elsewhere

    zh: x 为正处 Relu.backward 让梯度通过，其余处截断
    """
    cases = [(rng.away_from_zero(shape), rng.normal(size=shape)) for shape in small_first((1, 3), (2, 3), (6, 5))]
    found = []
    for x, grad_y in cases:
        layer = student.Relu()
        layer.forward(x)
        found.append(layer.backward(grad_y))
    for got, (x, grad_y) in zip(found, cases, strict=True):
        close(got, np.where(x > 0, grad_y, 0.0), what="grad_x")


@check(part="layers", points=1)
def layers_keep_their_inputs(student, reference, rng):
    """The layers leave the arrays they are given as they were

    zh: 两个层都不修改传入的数组
    """
    x, W, grad_y = rng.away_from_zero((3, 2)), rng.normal(size=(2, 3)), rng.normal(size=(3, 3))
    x[0, 0] = -abs(x[0, 0])
    given = {"x": x, "W": W, "grad_y": grad_y, "relu_grad_y": grad_y[:, :2]}
    held = {name: student.hold(value) for name, value in given.items()}
    matmul, relu = student.Matmul(), student.Relu()
    matmul.forward(held["x"], held["W"])
    matmul.backward(held["grad_y"])
    relu.forward(held["x"])
    relu.backward(held["relu_grad_y"])
    unchanged(**{name: (held[name], value) for name, value in given.items()})


# model ------------------------------------------------------------------------------------------------------------


def drawn(student, rng, n, hidden=0):
    """A model of the student's, its form, the net whose numbers it was given, and n points x, y.

    The points keep away from the net's kinks, and its predictions there have both signs where they can.

    hidden: as many units, of whole numbers, for an example to follow by hand.
    """
    model = student.myModel()
    form = form_of(model)
    one_sign = (hidden or form.hidden) == 1 and not form.out  # a single unit has but the sign of its weight in W2
    for _ in range(200):
        net = form.draw(rng, hidden)
        x, y = (rng.normal(size=tiny((n, 1)) if hidden else (n, 1)) for _ in "xy")
        h1, relu, prediction = net.forward(x)
        mixed = relu.any() if one_sign else prediction.min() < 0.0 < prediction.max()
        if mixed and not near_kink(h1, 1e-6):
            break
    form.give(model, net)
    return model, form, net, x, y


def as_column(value, n):
    """A prediction as a column, where it has one number for each row; the shape has a check of its own."""
    array = settle(value)
    return array.reshape(n, 1) if isinstance(array, np.ndarray) and array.size == n else value


@check(part="model", points=7)
def forward_is_the_network(student, reference, rng):
    """forward gives relu([x, 1] W1) W2

    zh: forward 给出 relu([x, 1] W1) W2
    """

    def compare(n, hidden):
        model, _, net, x, _ = drawn(student, rng, n, hidden)
        close(as_column(model.forward(x), n), net.forward(x)[2], what="the prediction")

    with_example(lambda: compare(7, 0), lambda: compare(2, 3))


@check(part="model", points=3)
def hidden_values_are_kept(student, reference, rng):
    """forward keeps h1, h1_relu and h2

    zh: forward 保存 h1、h1_relu 和 h2
    """
    model, _, net, x, _ = drawn(student, rng, 4)
    model.forward(x)
    h1, relu, h2 = net.forward(x)
    got = [model.h1, model.h1_relu, model.h2]
    close(got[0], h1, what="h1")
    close(got[1], relu, what="h1_relu")
    close(as_column(got[2], 4), h2, what="h2")


@check(part="model", points=3)
def weights_start_small(student, reference, rng):
    """W1 and W2 start as 0.1 times standard normal numbers

    zh: W1 和 W2 的初值是标准正态随机数乘以 0.1
    """
    model = student.myModel()
    form_of(model)
    model = student.myModel()
    for name, value in [(name, settle(getattr(model, name))) for name in ("W1", "W2")]:
        size, mean, n = float(np.std(value)), float(np.mean(value)), np.size(value)
        slack = max(0.15, 4.0 / n**0.5)
        wide = Text(en=" The first predictions are then far off, and the step of 0.06 makes them worse.",
                    zh="这样一来最初的预测就差得很远，0.06 的步长会让它越走越偏。")  # fmt: skip
        more = wide if size > 0.2 else Text(en="", zh="")
        expect(
            abs(size - 0.1) <= 0.1 * slack and abs(mean) <= 0.1 * slack,
            f"The numbers in {name} have mean {short(mean)} and standard deviation {short(size)}; 0 and 0.1 are asked "
            f"for, 0.1 * np.random.normal(size=...).{more.en}",
            f"{name} 中的数均值为 {short(mean)}、标准差为 {short(size)}；题目要求 0 和 0.1，"
            f"即 0.1 * np.random.normal(size=...)。{more.zh}",
        )


@check(part="model", points=3)
def a_bias_moves_the_kinks(student, reference, rng):
    """A column of ones beside x gives every unit a bias, so that its kink can move away from 0

    zh: x 旁边的一列 1 给每个单元一个偏置，拐点才能离开 0
    """
    attach(student, without_bias())
    model = student.myModel()
    form = form_of(model)
    expect(
        bool(form.into),
        "Your W1 has no row for a bias: every kink of the network is at x = 0, so it is one straight line on each "
        "side. Put a column of ones beside x and make W1 (2, 640).",
        "你的 W1 没有偏置那一行：网络的所有拐点都在 x = 0，左右两边各是一条直线。"
        "请在 x 旁边拼上一列 1，并把 W1 写成 (2, 640)。",
    )


def without_bias():
    """The sheet's function beside the best that any net without a bias can do, and the best of four kinks."""
    x = np.linspace(-3.0, 3.0, 61)
    best = {}
    for label, kinks in (
        (Text(en="best without a bias", zh="无偏置时最好"), [0.0]),
        (Text(en="best with 4 kinks", zh="4 个拐点时最好"), [-2.4, -0.8, 0.8, 2.4]),
    ):
        hinges = np.stack([np.maximum(s * (x - k), 0.0) for k in kinks for s in (1, -1)], axis=1)
        best[label] = hinges @ np.linalg.lstsq(hinges, f(x), rcond=None)[0]
    errors = [float(np.mean((y - f(x)) ** 2)) for y in best.values()]
    lines = [(Text(en="target", zh="目标"), f(x), FAINT), *zip(best, best.values(), (ORANGE, GREEN), strict=True)]
    layers = []
    for (label, y, colour), (at, dy) in zip(lines, ((18, -12), (44, -10), (5, 14)), strict=True):
        rows = [{"x": round(float(a), 2), "y": round(float(b), 4)} for a, b in zip(x, y, strict=True)]
        places = {
            axis: {"field": axis, "type": "quantitative", "axis": {"title": axis}, "scale": {"zero": False}}
            for axis in "xy"
        }
        layers.append({"data": {"values": rows}, "mark": {"type": "line", "color": colour}, "encoding": places})
        mark = {"type": "text", "color": colour, "dy": dy, "fontWeight": "bold"}
        named = {**places, "text": {"value": {"en": label.en, "zh": label.zh}}}
        layers.append({"data": {"values": [rows[at]]}, "mark": mark, "encoding": named})
    none, four = (short(error) for error in errors)
    return Figure(
        name="bias",
        title=Text(
            en=f"Without a bias the error stays at {none}, however wide the network is",
            zh=f"没有偏置时，网络再宽，误差也降不到 {none} 以下",
        ),
        alt=Text(
            en=f"The sheet's function over (-3, 3). The best network without a bias is two straight lines that meet at "
            f"x = 0 in the value 0; its mean squared error is {none}. Four kinks in the right places reach {four}.",
            zh=f"题目的函数，区间 (-3, 3)。没有偏置的网络最好也只是两段直线，在 x = 0 处相交且值为 0，均方误差 {none}；"
            f"放对位置的四个拐点就能降到 {four}。",
        ),
        spec={"layer": layers},
    )


@check(part="model", points=1)
def there_are_640_units(student, reference, rng):
    """The hidden layer has 640 units

    zh: 隐藏层有 640 个单元
    """
    units = form_of(student.myModel()).hidden
    expect(
        units == 640,
        f"Your hidden layer has {units} units; the sheet asks for 640. With few units the fit can bend in few "
        "places, and each kink has far to move.",
        f"你的隐藏层有 {units} 个单元；题目要求 640 个。单元太少时，能弯曲的地方就少，每个拐点要挪动的距离也更远。",
    )


@check(part="model", points=1)
def the_prediction_is_a_column(student, reference, rng):
    """forward gives a column, (n, 1)

    zh: forward 返回 (n, 1) 的列
    """
    model, _, _, x, _ = drawn(student, rng, 5)
    close(model.forward(x), column(5), atol=np.inf, what="the prediction")


@check(part="model", points=2)
def any_number_of_rows(student, reference, rng):
    """The same model takes one row, then many, and leaves x and y as they were

    zh: 同一个模型先算一行、再算很多行都可以，而且不修改 x 和 y
    """
    model, *_ = drawn(student, rng, 2)
    for n in (1, 50, 3):
        x = rng.normal(size=(n, 1))
        held_x = student.hold(x)
        preds = model.forward(held_x)
        y = beside(preds, rng.normal(size=(n, 1)))
        held_y = student.hold(y)
        model.backward(preds, held_y)
        again = model.forward(held_x)
        unchanged(x=(held_x, x), y=(held_y, y))
        got = as_column(again, n)
        close(got, column(n), atol=np.inf, what="the prediction")


# gradients --------------------------------------------------------------------------------------------------------


def beside(preds, y):
    """y in the shape of the predictions, whose own shape has a check: (n,) beside (n, 1) would become (n, n)."""
    got = settle(preds)
    return y.reshape(got.shape) if isinstance(got, np.ndarray) and got.size == y.size else y


def ask_gradients(model, form, x, y):
    """{name: its gradient} after one forward and backward, as the student left it in the model."""
    preds = model.forward(x)
    answer = model.backward(preds, beside(preds, y))
    kept_there = getattr(
        model, "forward.__self__.__dict__.__contains__"
    )  # so that it is said in words, not by an error
    for name in ("W1_grad", "W2_grad"):
        expect(
            settle(kept_there(name)) is True,
            f"After backward your model has no {name}: keep the gradients in self.W1_grad and self.W2_grad; what "
            "backward returns is not looked at.",
            f"backward 之后，你的模型里没有 {name}：请把梯度存到 self.W1_grad 和 self.W2_grad，backward 的返回值不看。",
            got=answer,
        )
    return {name: getattr(model, f"{name}_grad") for names in form.names for name in names}


def compare_gradients(student, rng, matrices, verdict):
    """verdict(got, expected, name) on each parameter of the matrices, of which W1 is 0 and W2 is 1."""

    def compare(n, hidden):
        model, form, net, x, y = drawn(student, rng, n, hidden)
        got, right = ask_gradients(model, form, x, y), form.of(*net.gradients(x, y))
        for name in [name for matrix in matrices for name in form.names[matrix]]:
            verdict(got[name], right[name], f"{name}_grad")

    with_example(lambda: compare(6, 0), lambda: compare(2, 3))


def factor(got, right):
    """c of got = c right; None where no number is."""
    got = np.asarray(settle(got))
    if got.shape != right.shape or got.dtype.kind not in "iuf" or not np.isfinite(got).all():
        return None
    c = float(np.sum(got * right) / np.sum(right * right))
    return c if np.allclose(got, c * right, rtol=1e-5, atol=1e-6 * max(abs(c), 1e-9)) else None


def points_the_same_way(got, right, what):
    if not (factor(got, right) or 0.0) > 0.0:
        close(got, right, what=what)


@check(part="gradients", points=7)
def grad_W1_points_the_right_way(student, reference, rng):
    """W1_grad points where the error grows (its length counts below)

    zh: W1_grad 指向误差增大的方向（长度另外算）
    """
    compare_gradients(student, rng, [0], points_the_same_way)


@check(part="gradients", points=7)
def grad_W2_points_the_right_way(student, reference, rng):
    """W2_grad points where the error grows (its length counts below)

    zh: W2_grad 指向误差增大的方向（长度另外算）
    """
    compare_gradients(student, rng, [1], points_the_same_way)


@check(part="gradients", points=6)
def gradients_are_of_the_mean(student, reference, rng):
    """W1_grad and W2_grad are the gradients of the mean squared error, 2/n included

    zh: W1_grad 和 W2_grad 是均方误差的梯度，包括 2/n 这个系数
    """
    compare_gradients(student, rng, [0, 1], lambda got, right, what: close(got, right, what=what))


@check(part="gradients", points=5)
def gradients_fit_their_forward(student, reference, rng):
    """backward is the derivative of your own forward

    zh: backward 是你自己的 forward 的导数
    """
    model, form, net, x, y = drawn(student, rng, 6)
    got = {name: np.asarray(settle(value)) for name, value in ask_gradients(model, form, x, y).items()}
    slopes, along, h = [], [], 1e-7  # so small that no difference steps over a kink
    for _ in range(4):
        ways = form.cut(Net(rng.normal(size=net.W1.shape), rng.normal(size=net.W2.shape)))
        ends = []
        for sign in (1, -1):
            form.give(model, Net(net.W1 + sign * h * ways.W1, net.W2 + sign * h * ways.W2))
            ends.append(model.forward(x))
        ends = [np.mean((np.asarray(settle(end)).reshape(y.shape) - y) ** 2) for end in ends]
        slopes.append((ends[0] - ends[1]) / (2 * h))
        along.append(sum(np.sum(got[name] * way) for name, way in form.of(ways.W1, ways.W2).items()))
    c = np.dot(along, slopes) / max(np.dot(slopes, slopes), 1e-12)
    close(np.array(along), c * np.array(slopes), atol=3e-3 * float(np.max(np.abs(along))) + 1e-9, what="the slope")
    expect(
        c > 0,
        "W1_grad and W2_grad are 0, or point where the error of your forward falls.",
        "W1_grad 和 W2_grad 为 0，或者指向了误差减小的方向。",
    )


# fit --------------------------------------------------------------------------------------------------------------


def sheet():
    """420 points to train and 180 to test of the sheet's function, always the same: the report's curve with CURVE."""
    rng = np.random.default_rng(5)
    x = rng.uniform(-3.0, 3.0, size=(600, 1))
    y = f(x) + rng.uniform(-0.01, 0.01, size=x.shape)
    return Sets(x[:420], y[:420], x[420:], y[420:], exact=True)


def start(hidden):
    """The weights that every run of `fit` starts from: 0.1 N(0, 1), always the same."""
    rng = np.random.default_rng(123)
    return Net(0.1 * rng.normal(size=(2, hidden)), np.vstack([0.1 * rng.normal(size=(hidden, 1)), [[0.0]]]))


class Diverged(Exception):
    """The error of a run left all bounds, so there is no use in going on."""


@dataclass
class Descent:
    """Gradient descent on a student's model: W -= rate * W_grad for every parameter, on all points at once.

    errors: of epochs 0, 1, ... on the training points; predictions: {epoch: those of the test points}.
    """

    student: object
    model: object
    form: Form
    sets: Sets
    rate: float
    marks: tuple = ()

    def run(self, epochs):
        self.form.give(self.model, self.form.cut(start(self.form.hidden)))
        y = beside(self.model.forward(self.sets.x), self.sets.y)
        self.x, self.y, self.x_test = (self.student.hold(v) for v in (self.sets.x, y, self.sets.x_test))
        self.seen, self.predictions, self.bound = [], {}, np.inf
        # In place, as model.W1 -= step does: W1 stays the array whose method this is.
        names = [name for names in self.form.names for name in names]
        self.subtract = {name: getattr(self.model, f"{name}.__isub__") for name in names}
        try:
            train(self.student, self.step, epochs, model=self.model, unit=EPOCHS)
            self.predictions[epochs] = self.model.forward(self.x_test)
            self.seen.append(self.model.forward(self.x))
            self.look()
            ended = True
        except Diverged:
            ended = False
        self.errors = [self.error(preds) for preds in self.seen]
        return ended

    def step(self):
        """One epoch. Nothing that the student's process holds travels, but what it computes does."""
        if len(self.seen) in self.marks:
            self.predictions[len(self.seen)] = self.model.forward(self.x_test)
        preds = self.model.forward(self.x)
        self.seen.append(preds)
        if len(self.seen) in (1, 3, 6, 12) or len(self.seen) % 25 == 0:
            self.look()
        self.model.backward(preds, self.y)
        for name, subtract in self.subtract.items():
            subtract(getattr(self.model, f"{name}_grad.__mul__")(self.rate))
        return preds

    def look(self):
        """Raises Diverged when the latest error is many times the first."""
        error = self.error(self.seen[-1])
        self.bound = min(self.bound, 100.0 * error) if np.isfinite(error) else 0.0
        if not error < self.bound:
            raise Diverged

    def error(self, preds):
        got = np.asarray(settle(preds))
        apart = got.reshape(-1) - self.sets.y[:, 0]
        return float(apart @ apart) / len(apart)

    @property
    def explained(self):
        """1 - error / variance on the test points, at the best of the later marks: 1 is perfect, 0 is the mean's."""
        y, last = self.sets.y_test[:, 0], max(self.predictions)
        late = [value for epoch, value in self.predictions.items() if 2 * epoch >= last]  # a step may just have spiked
        apart = [np.asarray(settle(value)).reshape(-1) - y for value in late]
        return 1.0 - min(float(np.mean(one**2)) for one in apart) / float(np.var(y))


def suited(step, hidden):
    """The gradient of a wider net than the sheet's is longer by as much as it is wider."""
    return step * min(1.0, 640 / hidden)


def descents(student, sets, marks=(), step=STEP):
    """Runs to begin, each with a smaller rate: the next is for when one diverges."""
    model = student.myModel()
    form = form_of(model)
    net = form.cut(start(form.hidden))
    form.give(model, net)
    got, right = ask_gradients(model, form, sets.x, sets.y), form.of(*net.gradients(sets.x, sets.y))
    for name, value in right.items():
        close(got[name], value, atol=np.inf, what=f"{name}_grad")
    # Gradients that are too long or too short cost points elsewhere; here each is as good as another step.
    c = factor(*(np.concatenate([np.ravel(settle(v)) for v in values.values()]) for values in (got, right)))
    step = suited(step, form.hidden)
    rate = step / c if c and c > 0 else step
    return [Descent(student, model, form, sets, rate * share, marks) for share in (1.0, 0.5, 0.25, 0.1)]


def descend(student, sets, epochs, step=STEP):
    """The first run that does not diverge, or the last; and whether it ended. A narrow net, being slow, gets longer."""
    for run in descents(student, sets, MARKS, step):
        if ended := run.run(min(TOP, max(epochs, epochs * 640 // run.form.hidden))):
            break
    return run, ended


@check(part="fit", points=3)
def five_epochs_are_the_references(student, reference, rng):
    """From the same weights, five epochs of gradient descent lead where the reference's lead

    zh: 从相同的权重出发，五轮梯度下降之后与参考一致
    """
    sets = sheet()
    sets = replace(sets, x=sets.x[:12], y=sets.y[:12])
    run = descents(student, sets)[0]
    net = run.form.cut(start(run.form.hidden))
    errors, step = [], suited(STEP, run.form.hidden)
    for _ in range(5):
        errors.append(float(np.mean((net.forward(sets.x)[2] - sets.y) ** 2)))
        grad_W1, grad_W2 = net.gradients(sets.x, sets.y)
        net = run.form.cut(Net(net.W1 - step * grad_W1, net.W2 - step * grad_W2))
    run.run(5)
    expect(len(run.seen) == 6, "The error grows without bound within five epochs: the step goes uphill.",
           "误差在五轮之内就越来越大：每一步都在让误差上升。")  # fmt: skip
    for epoch, expected in enumerate(errors):
        close(np.float64(run.errors[epoch]), np.float64(expected), atol=1e-6, what=f"the error of epoch {epoch}")
    for name, value in run.form.of(net.W1, net.W2).items():
        close(getattr(run.model, name), value, what=f"{name} after five epochs")


SCALED = {
    "x_label": Text(en="x, scaled to (-3, 3)", zh="x（缩放到 (-3, 3)）"),
    "y_label": Text(en="y, scaled to variance 1", zh="y（缩放到方差 1）"),
}


def show(student, run, own):
    """Prediction over target at the marks, and the error over the epochs beside the reference's."""
    some = np.argsort(run.sets.x_test[:, 0])[:: max(1, len(run.sets.x_test) // 90)]
    kept_marks = {}
    for epoch, value in run.predictions.items():
        array = np.asarray(settle(value))
        if array.size == run.sets.x_test.size:
            kept_marks[epoch] = array.reshape(-1)[some]
    axes = SCALED if own else {}
    attach(student, fit(x=run.sets.x_test[some, 0], target=run.sets.y_test[some, 0], predictions=kept_marks, **axes))
    errors = run.errors
    known = np.exp(np.interp(np.arange(len(errors)), CURVE[:, 0], np.log(CURVE[:, 1])))
    curve = loss_curve(yours=errors, reference=errors if own else known, x=EPOCH, y=LOSS, tolerance=0.1)
    if curve is not None and own:  # there is no reference for a function of the student's own
        first, last = short(errors[0]), short(errors[-1])
        title = Text(
            en=f"The error falls from {first} to {last} in {len(errors) - 1} epochs",
            zh=f"误差在 {len(errors) - 1} 轮中从 {first} 变为 {last}",
        )
        curve = replace(curve, title=title, alt=title, spec={**curve.spec, "layer": curve.spec["layer"][2:]})
    attach(student, curve)


LIMITS = CheckLimits(cpu_s=20.0, wall_s=40.0)


@check(part="fit", points=7, replay=False, limits=LIMITS)
def the_sheets_function_is_learnt(student, reference, rng):
    """After 500 epochs on the sheet's function it predicts unseen points (without a bias: about as well as it can)

    zh: 在题目的函数上训练 500 轮后，网络能预测没见过的点（没有偏置的网络，只要求接近它能达到的最好结果）
    """
    run, ended = descend(student, sheet(), TOP)
    show(student, run, own=False)
    verdict(run, ended, 0.9)


def verdict(run, ended, enough):
    expect(
        ended,
        f"Trained with your gradients, the error grows without bound: from {short(run.errors[0])} at epoch 0 to "
        f"{short(run.errors[-1])} at epoch {len(run.seen) - 1}. The checks of the gradients tell why.",
        f"用你的梯度训练，误差越来越大：第 0 轮是 {short(run.errors[0])}，第 {len(run.seen) - 1} 轮是 "
        f"{short(run.errors[-1])}。原因看梯度部分的检查。",
    )
    got, last = run.explained, len(run.seen) - 1
    if not run.form.into:  # which costs points elsewhere: here the net is held against what it can do
        enough = min(enough, at_most_without_bias(run.sets) - 0.1)
    units = run.form.hidden
    narrow = Text(
        en=f" Few hidden units for this: {units}, where 640 are asked for.",
        zh=f"{units} 个隐藏单元太少了，题目要求 640 个。",
    )
    more = narrow if units < 200 else Text(en="", zh="")
    expect(
        got >= enough,
        f"After {last} epochs the error on held-out points is {short(1 - got)} of their variance, where at most "
        f"{short(1 - enough)} is asked for.{more.en} On the training points it went from {short(run.errors[0])} "
        f"at epoch 0 to {short(run.errors[-1])}.",
        f"训练 {last} 轮后，留出点上的误差是其方差的 {short(1 - got)}，要求不超过 {short(1 - enough)}。{more.zh}"
        f"训练点上的误差从第 0 轮的 {short(run.errors[0])} 变为 {short(run.errors[-1])}。",
    )


@check(part="fit", points=5, replay=False, limits=LIMITS)
def your_function_is_learnt(student, reference, rng):
    """Trained on your own points, the network learns to predict those of them that it has not seen

    zh: 用你自己的数据训练后，网络能预测其中没见过的点
    """
    sets = own_sets(student, rng)
    own = not is_the_sheets(sets.x, sets.y)
    if own:  # whatever the function is, the sheet's weights and step suit numbers of this size
        sets = scaled(sets)
    # The sheet's function was trained for long in the check before: here a few epochs show that the points are good.
    epochs = 200 if own else TOP // 20
    run, ended = descend(student, sets, epochs, STEP / 2 if own else STEP)
    if own:
        show(student, run, own)
    line = np.polyval(np.polyfit(sets.x[:, 0], sets.y[:, 0], 1), sets.x_test[:, 0])
    straight = 1.0 - float(np.mean((line - sets.y_test[:, 0]) ** 2) / np.var(sets.y_test))
    verdict(run, ended, min(0.5 if own else 0.05, straight - 0.05))


def at_most_without_bias(sets):
    """Of the variance on the test points, the share that the best two lines from the origin explain."""
    both, both_test = (np.hstack([np.maximum(x, 0.0), np.maximum(-x, 0.0)]) for x in (sets.x, sets.x_test))
    best = both_test @ np.linalg.lstsq(both, sets.y, rcond=None)[0]
    return 1.0 - float(np.mean((best - sets.y_test) ** 2) / np.var(sets.y_test))


def own_sets(student, rng):
    """The student's points, shuffled and split anew, so that a poor split costs nothing here: at most 420 and 180.

    Where there is no generate_dataset they come from target_fun.
    """
    if has(student, "generate_dataset"):
        sets = sets_of(student.generate_dataset())
        x, y = np.vstack([sets.x, sets.x_test]), np.vstack([sets.y, sets.y_test])
    else:
        x = np.linspace(-3.0, 3.0, 600).reshape(-1, 1)
        y = np.asarray(settle(student.target_fun(x))).reshape(x.shape)
        x, y = x[np.isfinite(y)].reshape(-1, 1), y[np.isfinite(y)].reshape(-1, 1)
    some = rng.permutation(len(x))[:600]
    cut = int(0.7 * len(some))
    sets = Sets(x[some[:cut]], y[some[:cut]], x[some[cut:]], y[some[cut:]], exact=False)
    expect(
        len(some) > 9 and float(np.std(sets.y)) > 1e-6 and float(np.std(sets.y_test)) > 1e-6,
        f"You have {len(x)} points; with less than ten, or with the same y everywhere, there is nothing to learn.",
        f"你一共有 {len(x)} 个点；不到十个点，或者所有 y 都相同，就没有可学的内容。",
    )
    return sets


def scaled(sets):
    """x to (-3, 3), y to mean 0 and variance 1, by the training points."""
    low, high = sets.x.min(), sets.x.max()
    x, x_test = (3.0 * (2.0 * v - low - high) / max(high - low, 1e-9) for v in (sets.x, sets.x_test))
    y, y_test = ((v - sets.y.mean()) / sets.y.std() for v in (sets.y, sets.y_test))
    return Sets(x, y, x_test, y_test, exact=sets.exact)
