"""Checks of mnist_tensorflow. Images are float32 tensors (N, 28, 28) from 0 to 1, labels int64 tensors (N,).

What is expected is computed here in float64, for a network of any width, depth and activation: `Net` below, whose
gradients TensorFlow confirms every time that the solution is proved. The first checks learn what a file's model looks
like, the later ones expect what follows from it, so that a mistake in the model is not punished again in its training.
"""

import itertools
import re
import weakref
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from grader.arrays import load_digits as digits
from grader.checks import CheckFailed, CheckLimits, Text, check, close, expect, settle, tensor, unpack
from grader.figures import EPOCH, attach, confusion, loss_curve, numbers, worst_digits
from grader.training import (
    Trajectory,
    all_moved,
    optimizer,
    parameters,
    same_losses,
    same_trajectory,
    set_parameters,
    train,
)

DIGITS = digits(Path(__file__).parents[1] / "data" / "mnist_5k.npz")
CLASSES, PIXELS = 10, 784
STEP, FAST = 0.01, 0.5  # of the few steps that are compared, and of the fifty epochs
ROOM = 5e-3  # of the longest move: float32 and, for a loss of the student's own, central differences
EPSILON = 2e-7  # an epsilon of up to 1e-7 inside the log is normal
# The solution's losses over fifty full-batch epochs on the 4,000 digits, every seventh, mean of 5 runs: by step size.
REFERENCE_LOSSES = {
    FAST: [2.4, 1.03, 0.822, 0.592, 0.514, 0.397, 0.337, 0.312],
    STEP: [2.4, 2.34, 2.29, 2.25, 2.21, 2.17, 2.13, 2.09],
}


def batch(first, count):
    """Images (count, 28, 28) float32 and labels (count,) int64 from the training digits."""
    rows = slice(first, first + count)
    return DIGITS.x_train[rows] * np.float32(1 / 255), DIGITS.y_train[rows].astype(np.int64)


# The network in NumPy ---------------------------------------------------------------------------------------------

ACTIVATIONS = {  # name: (value, derivative)
    "relu": (lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.2 * z), lambda z: np.where(z > 0, 1.0, 0.2)),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z: np.exp(np.minimum(z, 0))),
    "none": (lambda z: z, np.ones_like),
}


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(z):
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


OUTPUTS = {  # what a model may do with its logits: (value, gradient of the logits from that of the value)
    "none": (lambda z: z, lambda z, g: g),
    "softmax": (softmax, lambda z, g: softmax(z) * (g - (softmax(z) * g).sum(-1, keepdims=True))),
    "log_softmax": (log_softmax, lambda z, g: g - softmax(z) * g.sum(-1, keepdims=True)),
    **{name: (f, lambda z, g, slope=slope: g * slope(z)) for name, (f, slope) in ACTIVATIONS.items() if name != "none"},
}


def cross_entropy(logits, labels):
    """Mean over the batch. logits: (N, classes), labels: (N,)."""
    return float(-np.mean(log_softmax(np.asarray(logits, dtype=np.float64))[np.arange(len(labels)), labels]))


@dataclass
class Net:
    """What is known of a file's model. layers: (weight, bias or None) by name; shapes: as the model has them.

    activations: one a hidden layer. output: what is done with the logits. scale: of the pixels. unused: biases that
    exist but are not added. known: whether the model's own forward agrees with all this. loss, accuracy: whether the
    functions of that kind are right. hot: whether the loss wants one-hot labels, so that the training gets them.
    obeys: whether the training step takes its size from the optimiser. listed: all its variables in the order of Keras,
    for a model whose layers stand in a list and are no attributes.
    """

    layers: tuple = (("W1", "b1"), ("W2", "b2"))
    shapes: dict = field(default_factory=lambda: {"W1": (PIXELS, 100), "b1": (100,), "W2": (100, 10), "b2": (10,)})
    dtype: type = np.float32
    images: bool = True
    activations: tuple = ("relu",)
    output: str = "none"
    scale: float = 1.0
    unused: frozenset = frozenset()
    known: bool = True
    loss: str = "right"
    accuracy: str = "right"
    hot: bool = False
    obeys: bool = True
    listed: tuple = ()

    def labels(self, y):
        """Labels (N,) as a tensor of class numbers, or of one-hot rows for a file that uses those."""
        return tensor(np.eye(CLASSES, dtype=np.float32)[y] if self.hot else y)

    @property
    def names(self):
        return [name for layer in self.layers for name in layer if name]

    @property
    def outputs(self):
        return self.shapes[self.layers[-1][0]][1]

    def input(self, x):
        """Images as a tensor of the model's dtype, flat if it takes no images."""
        return tensor((x if self.images else x.reshape(len(x), PIXELS)).astype(self.dtype))

    def draw(self, rng):
        """{name: random weights}: pre-activations and logits of about unit size, so that every activation shows."""
        values = {}
        for at, (weight, bias) in enumerate(self.layers):
            fan_in = self.shapes[weight][0]
            values[weight] = rng.normal(size=self.shapes[weight]) * (0.1 if at == 0 else 1.5 / fan_in**0.5)
            if bias:
                values[bias] = rng.normal(size=self.shapes[bias]) * 0.5
        return {name: value.astype(self.dtype) for name, value in values.items()}

    def forward(self, values, x):
        """(input, pre-activation) of every layer, and what the model returns. x: (N, 28, 28)."""
        h, kept = self.scale * x.reshape(len(x), PIXELS).astype(np.float64), []
        for (weight, bias), name in zip(self.layers, (*self.activations, "none"), strict=True):
            z = h @ values[weight].astype(np.float64)
            if bias and bias not in self.unused:
                z = z + values[bias].astype(np.float64).reshape(-1)
            kept.append((h, z))
            h = ACTIVATIONS[name][0](z)
        return kept, OUTPUTS[self.output][0](h)

    def gradients(self, values, x, labels, slope=None):
        """{name: gradient of the mean cross entropy}, every one of its parameter's shape; and the loss.

        slope: the gradient of what the model returns under another loss, of its shape.
        """
        kept, returned = self.forward(values, x)
        hot = np.eye(returned.shape[1])[labels]
        slope = (softmax(returned) - hot) / len(x) if slope is None else slope
        grad = OUTPUTS[self.output][1](kept[-1][1], slope)
        found = {}
        for at in reversed(range(len(self.layers))):
            (weight, bias), (h, z) = self.layers[at], kept[at]
            if at < len(self.activations):
                grad = grad * ACTIVATIONS[self.activations[at]][1](z)
            found[weight] = h.T @ grad
            if bias:
                found[bias] = (0.0 if bias in self.unused else 1.0) * grad.sum(0).reshape(self.shapes[bias])
            grad = grad @ values[weight].astype(np.float64).T
        return found, cross_entropy(returned, labels)

    def variants(self):
        """This network as students write it: other activations, something done with the logits, a bias left out."""
        hidden = list(itertools.product(ACTIVATIONS, repeat=len(self.layers) - 1))
        biases = [bias for _, bias in self.layers if bias]
        left_out = [frozenset(names) for count in (0, 1, 2) for names in itertools.combinations(biases, count)]
        for scale, unused, output, activations in itertools.product((1.0, 1 / 255.0), left_out, OUTPUTS, hidden):
            yield Net(**{**vars(self), "activations": activations, "output": output, "scale": scale, "unused": unused})


NETS = weakref.WeakKeyDictionary()


def net_of(student):
    """What earlier checks of the same file have learnt of its model; they run in order, always."""
    return NETS.setdefault(student._conversation.channel, Net())


def made(student, net):
    """A model; layers of Keras make their variables when they first see an input."""
    model = student.myModel()
    if any("." in name for name in net.names):
        model(net.input(batch(0, 2)[0]))
    return model


def put(model, net, values):
    """Sets the variables {name: value} of a model."""
    if net.listed:
        model.set_weights([values[name] for name in net.listed])
    else:
        set_parameters(model, **values)


class Listed:
    """The variables of a model whose layers stand in a list, by their names, to be read like attributes."""

    def __init__(self, model, net):
        self._model, self._names, self._path, self._unread = model, net.listed, [], {}

    def __getattr__(self, part):
        self._path.append(part)
        name = ".".join(self._path)
        if name not in self._names:
            return self
        self._path = []
        if name not in self._unread:
            self._unread = dict(zip(self._names, unpack(self._model.get_weights(), *self._names), strict=True))
        return self._unread.pop(name)


def watched(model, net):
    """What the variables of a model are read from."""
    return Listed(model, net) if net.listed else model


def raised(answer):
    """The message of what a call raised in the student's code, None if it came back."""
    try:
        settle(answer)
    except Exception as error:
        if not hasattr(error, "type"):  # not an exception of the student's code: a hang, a crash
            raise
        return f"{error.type}: {error.text}"
    return None


def layers_of(shapes):
    """((weight, bias or None), ...) by the names W1, b1, ..., else by following the widths from 784 on; () if none."""
    named = [(f"W{i}", f"b{i}") for i in range(1, 10) if f"W{i}" in shapes]
    if len(named) > 1:
        return tuple((weight, bias if bias in shapes else None) for weight, bias in named)
    found, width, rest = [], PIXELS, dict(shapes)
    while weight := next((n for n, shape in rest.items() if len(shape) == 2 and shape[0] == width), None):
        width = rest.pop(weight)[1]
        bias = next((n for n, shape in rest.items() if shape in ((width,), (1, width))), None)
        rest.pop(bias, None)
        found.append((weight, bias))
    return tuple(found)


# The model --------------------------------------------------------------------------------------------------------


@check(part="model", points=5)
def model_has_layers(student, reference, rng):
    """myModel() holds the variables of at least two layers

    zh: myModel() 里至少有两层网络的变量
    """
    net, model = net_of(student), student.myModel()
    found = settle(parameters(model))
    if not found:  # layers of Keras make their variables when they first see an input
        model(net.input(batch(0, 2)[0]))
        found = settle(parameters(model))
    arrays = {name: value for name, value in found.items() if numbers(value) is not None}
    shapes = {name: np.shape(numbers(value)) for name, value in arrays.items()}
    layers = layers_of(shapes)
    seen = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "-"
    expect(
        bool(shapes),
        "Your model holds no variable that can learn: make W1, b1, W2 and b2 with tf.Variable in __init__, as "
        "attributes of self.",
        "模型里没有可以学习的变量：请在 __init__ 里用 tf.Variable 创建 W1、b1、W2、b2，并存为 self 的属性。",
    )
    absent = [name for name in ("W1", "W2") if name not in shapes]
    expect(
        len(layers) > 1 or not absent,
        f"Your model has no tf.Variable {' and no '.join(absent)}: what is made without tf.Variable(...) cannot learn, "
        f"and what is not an attribute of self is not found. It has {seen}.",
        f"模型里没有 tf.Variable {'、'.join(absent)}：不用 tf.Variable(...) 创建的张量不能学习，"
        f"没有存为 self 的属性也找不到。现有的变量是 {seen}。",
    )
    fits = all(len(shapes[w]) == 2 for w, _ in layers) and len(layers) > 1
    widths = [PIXELS, *(shapes[w][1] for w, _ in layers)] if fits else []
    fits = fits and all(shapes[w][0] == width for (w, _), width in zip(layers, widths, strict=False))
    fits = fits and all(shapes[b] in ((w,), (1, w)) for (_, b), w in zip(layers, widths[1:], strict=True) if b)
    expect(
        fits,
        f"Your variables are {seen}. Two layers are asked for: W1 of shape (784, hidden) and W2 of shape (hidden, 10), "
        "each with a bias as wide as its output.",
        f"你的变量是 {seen}。题目要两层：W1 的形状是 (784, 隐藏层宽度)，W2 是 (隐藏层宽度, 10)，"
        "各带一个与输出等宽的偏置。",
    )
    net.layers, net.shapes = layers, shapes
    numbered = any(part.isdigit() for name in net.names for part in name.split("."))
    net.listed = tuple(shapes) if numbered and set(net.names) == set(found) else ()
    net.activations = ("relu",) * (len(layers) - 1)
    net.dtype = (
        np.float64 if getattr(arrays[layers[0][0]], "array", arrays[layers[0][0]]).dtype == np.float64 else net.dtype
    )


@check(part="model", points=6, requires=["model_has_layers"])
def variables_are_named_and_sized(student, reference, rng):
    """The variables are called W1, b1, W2, b2, and the last layer has ten outputs

    zh: 变量名为 W1、b1、W2、b2，最后一层有 10 个输出
    """
    net = net_of(student)
    model = made(student, net)
    found, (weight, bias) = settle(parameters(model)), net.layers[-1]
    have = ", ".join(found if isinstance(found, dict) and found else net.names)
    missing = [name for name in ("W1", "b1", "W2", "b2") if name not in net.names]
    expect(
        not missing or not set(missing) <= {"b1", "b2"},
        f"Your model has no tf.Variable {' and no '.join(missing)}; it has {have}. Without biases a black image gets "
        "ten equal logits.",
        f"模型里没有变量 {'、'.join(missing)}，只有 {have}。没有偏置，全黑的图像得到的十个 logits 就完全一样。",
    )
    expect(
        not missing,
        f"Your model has {have}; the names asked for are W1, b1, W2 and b2. The rest is graded with the names you use.",
        f"模型里的变量是 {have}，题目要求的名字是 W1、b1、W2、b2。其余检查会按你的名字进行。",
    )
    last = read(model, net, bias or weight)
    settle(last)
    expect(
        net.outputs == CLASSES,
        f"Your last layer has {net.outputs} outputs; there are ten digits, so W2 has 10 columns and b2 10 entries.",
        f"你的最后一层有 {net.outputs} 个输出；数字只有十个，所以 W2 应有 10 列，b2 应有 10 个元素。",
        got=last,
    )


@check(part="model", points=5, requires=["model_has_layers"])
def model_takes_images(student, reference, rng):
    """The model takes images of 28 by 28 pixels, one or several at a time

    zh: 模型能接收 28×28 的图像，一张或多张都可以
    """
    net = net_of(student)
    model = made(student, net)
    net.images = False  # until the call below has come back
    values = net.draw(rng)
    put(model, net, values)
    x = batch(0, 3)[0]
    several, one = model(tensor(x.astype(net.dtype))), model(tensor(x[:1].astype(net.dtype)))
    said = raised(several)
    expect(
        said is None or not re.search(r"\b28\b.*\b784\b", said),
        "Your model multiplies images of 28 by 28 pixels by W1, which has 784 rows: make each image one row first, "
        "with tf.reshape(x, [-1, 784]). Everything below is graded with rows.",
        "你的模型直接用 28×28 的图像去乘有 784 行的 W1：请先用 tf.reshape(x, [-1, 784]) 把每张图展平成一行。"
        "下面的检查会传入展平后的数据。",
    )
    settle(several)
    net.images = True
    close(several, np.zeros((3, net.outputs)), atol=np.inf, what="what the model returns for 3 images")
    close(one, np.asarray(several)[:1], atol=1e-4, what="what the model returns for one image alone")


NOT_THE_SHEETS = Text(
    en="The sheet's network has ReLU or tanh between its layers and nothing else: another activation, dropout or a "
    "normalisation gives other numbers.",
    zh="题目的网络在两层之间只有 ReLU 或 tanh；换用别的激活函数、加上 dropout 或归一化，得到的数都会不同。",
)


@check(part="model", points=18, requires=["model_has_layers"])
def model_gives_the_logits(student, reference, rng):
    """From given weights the model returns the logits, relu(x W1 + b1) W2 + b2

    zh: 给定权重，模型返回 logits，即 relu(x W1 + b1) W2 + b2
    """
    net = net_of(student)
    model = made(student, net)
    values, x = net.draw(rng), batch(10, 8)[0]
    put(model, net, values)
    got, net.known = model(net.input(x)), False
    returned = numbers(got, (8, net.outputs))
    right = [net.forward(values, x)[1]]
    if returned is not None:
        for other in net.variants():
            logits = other.forward(values, x)[1]
            if np.allclose(returned, logits, rtol=1e-4, atol=1e-4):
                net.activations, net.output, net.scale = other.activations, other.output, other.scale
                net.unused, net.known = other.unused, True
                fine = other.output == "none" and other.scale == 1.0 and not other.unused
                right = [logits] if fine and "none" not in other.activations else right
                break
    expect(
        net.output not in ("softmax", "sigmoid"),
        "Your model returns probabilities. Logits are asked for, the numbers before softmax; that is the loss's work.",
        "模型返回的是概率。题目要的是 logits，也就是 softmax 之前的数；softmax 由损失函数去做。",
        got=got,
        expected=right[0],
    )
    try:
        close(got, right[0], atol=1e-4, what="the logit")
    except CheckFailed as failure:
        if returned is not None and not net.known:
            failure.message += NOT_THE_SHEETS
        raise


@check(part="model", points=3, requires=["model_gives_the_logits"])
def hidden_layer_is_relu_or_tanh(student, reference, rng):
    """The activation of the hidden layer is ReLU or tanh

    zh: 隐藏层的激活函数是 ReLU 或 tanh
    """
    net = net_of(student)
    model = made(student, net)
    values, x = net.draw(rng), batch(20, 3)[0]
    put(model, net, values)
    got = model(net.input(x))
    odd = [name for name in net.activations if name not in ("relu", "tanh")]
    right = Net(**{**vars(net), "activations": tuple("relu" if name in odd else name for name in net.activations)})
    if odd:
        close(got, right.forward(values, x)[1], atol=1e-4, what="the logit with ReLU in the hidden layer")
    settle(got)


@check(part="model", points=3, requires=["model_has_layers"])
def first_weights_are_sensible(student, reference, rng):
    """The first, random weights are neither all alike nor so large that the logits run into the hundreds

    zh: 随机初值既不全都一样，也没有大到让 logits 上百
    """
    net = net_of(student)
    model, (x, y) = made(student, net), batch(0, 200)
    first, got = read(model, net, net.layers[0][0]), model(net.input(x))
    weights, logits = numbers(first), numbers(got, (200, net.outputs))
    expect(
        weights is None or float(np.std(weights)) > 0,
        f"All entries of your {net.layers[0][0]} are the same: then every hidden unit computes the same and gets the "
        "same gradient, and they stay alike for ever. Draw them at random.",
        f"你的 {net.layers[0][0]} 里所有元素都一样：每个隐藏单元算的都相同，梯度也相同，永远分不开。请随机初始化。",
        got=first,
    )
    if logits is None or not np.isfinite(logits).all() or net.output in ("softmax", "log_softmax"):
        return
    spread = float(np.std(logits))
    loss = cross_entropy(logits, y)
    expect(
        spread < 25,
        f"Before any training your logits spread by {spread:.0f} (standard deviation) and the loss is {loss:.0f}, "
        "where guessing costs 2.3: x W1 adds up 784 terms, so weights from N(0, 1) are too large. A standard deviation "
        "of 0.1 or less is better.",
        f"还没训练，你的 logits 的标准差就有 {spread:.0f}，损失为 {loss:.0f}，而瞎猜的损失只有 2.3："
        "x W1 要把 784 项加起来，从 N(0, 1) 取权重就太大了，标准差取 0.1 或更小比较合适。",
        got=got,
    )


def read(model, net, name):
    """A variable's value. name: "W1", or "dense.kernel" of a layer of Keras."""
    value = model if isinstance(model, Listed) else watched(model, net)
    for part in name.split("."):
        value = getattr(value, part)
    return value


# Loss and accuracy ------------------------------------------------------------------------------------------------


def logits_and_labels(rng):
    """(8, 10) float32 logits and (8,) labels: five rows are right, and the classes are not in order."""
    z = np.round(2.0 * rng.normal(size=(8, CLASSES)), 1)
    labels = rng.permutation(CLASSES)[:8]
    z[np.arange(8), labels] -= 0.05  # no ties
    for row in range(8):
        best = int(labels[row]) if row < 5 else (int(labels[row]) + 1 + row) % CLASSES
        z[row, best] = z[row].max() + 1.0
    z[7, labels[7]] = z[7].min() - 1.0  # one that the smallest logit would name
    order = rng.permutation(8)
    return z[order].astype(np.float32), labels[order].astype(np.int64)


@check(part="loss", points=13)
def loss_is_the_mean_cross_entropy(student, reference, rng):
    """compute_loss gives the mean cross entropy of logits and labels

    zh: compute_loss 给出 logits 与标签的平均交叉熵
    """
    net = net_of(student)
    net.loss = "wrong"
    z, labels = logits_and_labels(rng)
    p = softmax(z.astype(np.float64))[np.arange(8), labels]
    bounds = [-np.mean(np.log(p - EPSILON)), -np.mean(np.log(p + EPSILON))]
    got = student.compute_loss(tensor(z), tensor(labels))
    if (said := raised(got)) is not None:
        net.hot = bool(
            re.search(r"broadcastable|SoftmaxCrossEntropyWithLogits|[Ss]hapes? .*incompatible|Mismatch", said)
        )
        expect(
            not net.hot,
            "compute_loss is handed class numbers, one for each image, and the cross entropy in it wants one-hot rows: "
            "use tf.nn.sparse_softmax_cross_entropy_with_logits, or tf.one_hot(labels, 10). If your "
            "compute_accuracy wants them too, the training steps below get one-hot labels.",
            "传给 compute_loss 的标签是类别编号，每张图一个，而你用的交叉熵需要 one-hot：请改用 "
            "tf.nn.sparse_softmax_cross_entropy_with_logits，或先做 tf.one_hot(labels, 10)。"
            "如果你的 compute_accuracy 也需要 one-hot，下面的训练步骤就传入 one-hot 标签。",
        )
    close(got, np.float64(-np.mean(np.log(p))), or_between=bounds)
    net.loss = "right"


@check(part="loss", points=3, requires=["loss_is_the_mean_cross_entropy"])
def loss_survives_large_logits(student, reference, rng):
    """compute_loss stays right for logits of 1000 and -1000

    zh: logits 为 1000 或 -1000 时，compute_loss 仍然正确
    """
    z, labels = logits_and_labels(rng)
    z[np.arange(8), labels] = z.max(axis=1) + 1.0  # all right: however large, the loss is next to 0
    close(
        student.compute_loss(tensor(z + np.float32(1000)), tensor(labels)),
        np.float64(cross_entropy(z, labels)),
        atol=1e-3,
    )
    far = np.full((8, CLASSES), -1000, dtype=np.float32)
    far[np.arange(8), labels] = 1000
    close(student.compute_loss(tensor(far), tensor(labels)), np.float64(0.0), atol=1e-3)


@check(part="accuracy", points=7)
def accuracy_is_the_share_of_right_rows(student, reference, rng):
    """compute_accuracy gives the share of images whose largest logit is at the label

    zh: compute_accuracy 给出最大 logit 恰在标签处的图像所占的比例
    """
    net = net_of(student)
    net.accuracy = "wrong"
    z, labels = logits_and_labels(rng)
    got = student.compute_accuracy(tensor(z), tensor(labels))
    said = raised(got) or ""
    expect(
        not re.search(r"\b10\b.*\b8\b|\b8\b.*\b10\b", said),
        "Your compute_accuracy compares 10 predictions with the labels of 8 images: argmax went over the images. "
        "Write tf.argmax(logits, axis=1).",
        "你的 compute_accuracy 用 10 个预测去比 8 张图像的标签：argmax 沿图像方向取了。"
        "请写 tf.argmax(logits, axis=1)。",
    )
    expect(
        "[-1, 1)" not in said and "[-1,1)" not in said,
        "Your compute_accuracy takes argmax of the labels along axis 1, but they are class numbers, shape (N,): "
        "compare the predictions with the labels themselves.",
        "你的 compute_accuracy 对标签沿第 1 维取 argmax，但标签是类别编号，形状 (N,)：直接与预测比较即可。",
    )
    close(got, np.float64(np.mean(z.argmax(axis=1) == labels)), atol=1e-5)
    net.accuracy, net.hot = "right", False


# Training ---------------------------------------------------------------------------------------------------------


def start(student, net, rng, step):
    """A model with drawn weights, and an SGD for it."""
    model = made(student, net)
    values = net.draw(rng)
    put(model, net, values)
    return model, optimizer(model, "SGD", learning_rate=step), values


def expect_known(net):
    expect(
        net.known,
        "The gradient cannot be checked, because from given weights your model does not return what the sheet's "
        "network does (ReLU or tanh, without dropout or normalisation). Mend the model first.",
        "无法检查梯度：给定权重后，你的模型返回的结果与题目的网络不符（ReLU 或 tanh，不加 dropout 和归一化）。"
        "请先修好模型。",
    )


@check(part="training", points=12, requires=["model_has_layers"])
def step_goes_down_the_gradient(student, reference, rng):
    """One training step moves those variables that it changes straight down the gradient of the loss

    zh: 训练一步，凡是有变化的变量，都正好沿损失的负梯度方向移动
    """
    net = net_of(student)
    x, y = batch(100, 64 if net.loss == "right" else 8)
    model, sgd, values = start(student, net, rng, 2 * STEP)  # twice the usual, to see who heeds it
    inputs = net.input(x), net.labels(y)
    run = train(
        student, lambda: student.train_one_step(model, sgd, *inputs), 1, model=watched(model, net), watch=net.names
    )
    before, after = ({name: numbers(run.parameters[name][at]) for name in net.names} for at in (0, 1))
    expect_known(net)
    moves = {name: after[name] - before[name] for name in net.names}
    plain = Net(**{**vars(net), "output": "none"})  # a loss that takes probabilities mends a model that returns them
    slopes = [which.gradients(values, x, y)[0] for which in (net, plain)]
    if net.loss == "wrong":  # that was said at compute_loss: here its own gradient will do
        returned = net.forward(values, x)[1]
        own = slopes_of(lambda zs: student.compute_loss.each([(tensor(z), net.labels(y)) for z in zs]), returned)
        slopes.append(net.gradients(values, x, y, own)[0])
    fits = [along(moves, found) for found in slopes]
    expect(
        any(np.any(move) for move in moves.values()),
        "Your training step changes no variable at all.",
        "训练一步之后，没有任何变量发生变化。",
    )
    eta, grads = next(((fit, found) for fit, found in zip(fits, slopes, strict=True) if fit), (fits[0], slopes[0]))
    if eta is None:
        eta = size_of(moves, grads)
        expect(
            eta >= 0 or along({n: -m for n, m in moves.items()}, grads) is None,
            "Your training step goes up the gradient, so the loss grows: subtract the gradient.",
            "你的训练步骤沿着梯度上升，损失会越来越大：应当减去梯度。",
            got=run.parameters[net.names[0]][1],
            expected=values[net.names[0]] - STEP * grads[net.names[0]],
        )
        sizes = np.abs(moves[net.layers[-1][0]])
        sizes = sizes[sizes > 0]
        expect(
            not sizes.size or float(np.median(sizes)) < 0.9 * float(sizes.max()),
            "Your training step moves every weight equally far, whatever the size of its gradient: that is a step "
            "along the sign, or the first step of an Adam of your own. Use the gradient itself, or the optimizer that "
            "the function is handed.",
            "你的训练步骤让每个权重移动同样远，与梯度大小无关：这是按符号走的一步，或者是你自己的 Adam 的第一步。"
            "请直接用梯度，或者用传进函数的 optimizer。",
            got=run.parameters[net.layers[-1][0]][1],
        )
    net.obeys = abs(eta - 2 * STEP) < 0.05 * STEP
    for name in net.names:
        if np.any(moves[name]):
            wanted = before[name] - (eta if eta > 0 else STEP) * grads[name]
            room = ROOM * float(np.abs(wanted - before[name]).max()) + 2e-7 * float(np.abs(before[name]).max()) + 1e-7
            close(run.parameters[name][1], wanted, atol=room, what=f"{name} after one step")


def slopes_of(each, at):
    """Central differences of sum(f) at each coordinate of `at`, in float32. each: f of many arrays in one go."""
    size = 1e-2 * max(1.0, float(np.abs(at).max()) / 10)
    shifts = size * np.eye(at.size).reshape(-1, *at.shape)
    up, down = (each([(at + sign * shift).astype(np.float32) for shift in shifts]) for sign in (1, -1))
    rise = [np.sum(a) - np.sum(b) for a, b in zip(numbers(list(up)), numbers(list(down)), strict=True)]
    return np.array(rise).reshape(at.shape) / (2 * size)


def size_of(moves, grads):
    """The step size that fits the moves best."""
    names = [name for name in moves if np.any(moves[name])]
    squares = sum(float(np.sum(grads[name] ** 2)) for name in names)
    return -sum(float(np.sum(moves[name] * grads[name])) for name in names) / max(squares, 1e-30)


def along(moves, grads):
    """The one positive step size of all moves if they go straight down the gradients, else None."""
    eta = size_of(moves, grads)
    if not eta > 0:
        return None
    for name, move in moves.items():
        wanted = -eta * grads[name]
        if np.any(move) and not np.allclose(move, wanted, rtol=0, atol=ROOM * np.abs(wanted).max() + 3e-7):
            return None
    return eta


@check(part="training", points=10, requires=["model_has_layers"])
def five_steps_follow_the_reference(student, reference, rng):
    """Five steps of size 0.01 move every variable as they should, and return the loss

    zh: 步长 0.01 走五步之后，每个变量都与参考一致，返回的损失也正确
    """
    net = net_of(student)
    x, y = batch(200, 96)
    model, sgd, values = start(student, net, rng, STEP)
    inputs = net.input(x), net.labels(y)
    names = [name for name in net.names if name not in net.unused]
    mine = train(
        student, lambda: student.train_one_step(model, sgd, *inputs), 5, model=watched(model, net), watch=names
    )
    path, losses = descend(net, values, x, y, 5)
    attach(student, loss_curve(yours=mine.losses(), reference=losses[:5], first=1))
    all_moved(*({name: mine.parameters[name][at] for name in names} for at in (0, -1)))
    expect_known(net)
    if net.output == "softmax" and net.loss == "wrong":
        path, losses = descend(Net(**{**vars(net), "output": "none"}), values, x, y, 5)
    right = Trajectory(returned=(), parameters={name: tuple(step[name] for step in path) for name in names})
    same_trajectory(mine, right, atol=2e-5, rtol=1e-4)
    if net.loss == "right":  # a wrong loss was said at compute_loss
        same_losses(mine, losses[:5], losses[1:], rtol=1e-3)


def descend(net, values, x, y, steps):
    """The parameters before and after each step of size STEP, and the losses at all of them."""
    path, losses = [{name: value.astype(np.float64) for name, value in values.items()}], []
    for _ in range(steps):
        grads, loss = net.gradients(path[-1], x, y)
        losses.append(loss)
        path.append({name: value - STEP * grads[name] for name, value in path[-1].items()})
    return path, [*losses, net.gradients(path[-1], x, y)[1]]


@check(part="test", points=7, requires=["model_has_layers"])
def test_gives_loss_and_accuracy(student, reference, rng):
    """test returns loss and accuracy of the model, and leaves the model as it was

    zh: test 返回模型的损失和正确率，并且不改变模型
    """
    net = net_of(student)
    x, y = batch(300, 8)
    model, _, values = start(student, net, rng, STEP)
    answer = student.test(model, net.input(x), net.labels(y))
    seen = watched(model, net)
    held = [read(seen, net, name) for name in net.names]
    logits = model(net.input(x))
    right = [np.float64(cross_entropy(logits, y)), np.float64(np.mean(np.argmax(logits, axis=1) == y))]
    if net.loss == "wrong" and net.accuracy == "right":  # that was said at compute_loss: here it is enough to use it
        right[0] = student.compute_loss(logits, net.labels(y))
    if net.accuracy == "wrong" and net.loss == "right":
        right[1] = student.compute_accuracy(logits, net.labels(y))
    for name, value in zip(net.names, held, strict=True):
        close(value, values[name], atol=1e-6, what=f"{name} after test, which must not train,")
    said = settle(answer)
    expect(
        isinstance(said, (tuple, list)) and len(said) == 2,
        "test returns two values, loss and accuracy, in this order.",
        "test 应返回两个值：先损失，后正确率。",
        got=answer,
    )
    for value, wanted, what in zip(said, right, ("the loss", "the accuracy"), strict=True):
        close(value, np.asarray(wanted), atol=1e-3, what=what)


# Outcome ----------------------------------------------------------------------------------------------------------


def fifty_epochs(losses, reference):
    """The loss curve over a typical one. Different random weights, so no step of it is right or wrong."""
    typical = np.interp(np.arange(50), np.arange(0, 50, 7), reference)
    return loss_curve(yours=losses, reference=typical, first=1, x=EPOCH, typical=True)


@check(
    part="outcome",
    points=8,
    requires=["model_has_layers"],
    replay=False,
    limits=CheckLimits(cpu_s=20.0, wall_s=40.0),
)
def fifty_epochs_teach_it_something(student, reference, rng):
    """Fifty full-batch epochs on 4,000 digits lower the loss on new digits, and leave guessing behind

    zh: 在 4000 个数字上整批训练 50 轮，新数字上的损失下降，识别率高于瞎猜
    """
    net = net_of(student)
    x, y = batch(0, 4000)
    images, labels = DIGITS.x_scoring * np.float32(1 / 255), DIGITS.y_scoring.astype(np.int64)
    model = made(student, net)
    before = model(net.input(images))
    sgd = optimizer(model, "SGD", learning_rate=FAST)
    inputs = student.hold(net.input(x)), student.hold(net.labels(y))
    run = train(student, lambda: student.train_one_step(model, sgd, *inputs), 50, model=model)
    after = model(net.input(images))
    first, last = (numbers(value, (len(images), net.outputs)) for value in (before, after))
    expect(
        first is not None and last is not None,
        "After training, the model no longer returns one row of logits for each image.",
        "训练之后，模型不再为每张图像返回一行 logits。",
        got=after,
    )
    attach(student, fifty_epochs(run.losses(), REFERENCE_LOSSES[FAST if net.obeys else STEP]))
    attach(student, confusion(labels=labels, predictions=last.argmax(axis=1)))
    attach(student, worst_digits(images=images, labels=labels, probabilities=softmax(last)))
    expect(
        bool(np.isfinite(last).all()),
        "After fifty epochs the logits are no longer numbers (NaN or infinity): the training has diverged.",
        "训练 50 轮后，logits 成了 NaN 或无穷大：训练发散了。",
        got=after,
    )
    loss = [cross_entropy(value, labels) for value in (first, last)]
    share = [float(np.mean(value.argmax(axis=1) == labels)) for value in (first, last)]
    expect(
        loss[1] < loss[0],
        f"Fifty epochs leave the loss on new digits where it was, or above: {loss[0]:.4g} before, {loss[1]:.4g} after.",
        f"训练 50 轮后，新数字上的损失没有下降：训练前 {loss[0]:.4g}，训练后 {loss[1]:.4g}。",
    )
    slow = not net.obeys or len(net.layers) > 2  # a step of 0.01, or small weights in three layers: right, but slow
    expect(
        slow or share[1] > 0.15,
        f"After fifty epochs {share[1]:.0%} of 500 new digits are recognised; guessing gives 10%, and {share[0]:.0%} "
        "were right before any training.",
        f"训练 50 轮后，500 个新数字认对了 {share[1]:.0%}；瞎猜是 10%，训练之前是 {share[0]:.0%}。",
    )
