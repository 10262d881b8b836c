"""Checks of tensorflow_basics. Logits are float64 NumPy arrays, probabilities float64 tensors, labels NumPy floats."""

import numpy as np

from grader.checks import check, close, finite, small_first, tensor, unchanged, with_example

EPSILON = 2e-7  # an epsilon of 1e-15 ... 1e-7 inside the log is normal; a bit of room above it


def between(prob, label, loss):
    """The loss with -EPSILON and with +EPSILON added to the probabilities: what lies between is right."""
    return [loss(prob - EPSILON, label), loss(prob + EPSILON, label)]


def categorical(prob, label):
    return np.mean(-np.sum(label * np.log(np.maximum(prob, 1e-300)), axis=-1))


def binary(prob, label):
    positive = label * np.log(np.maximum(prob, 1e-300))
    negative = (1 - label) * np.log(np.maximum(1 - prob, 1e-300))
    return np.mean(-positive - negative)


def compare(name, student, reference, inputs):
    """All calls first, then the comparisons: calls that nobody has looked at yet travel together."""
    mine, theirs = getattr(student, name), getattr(reference, f"tf_{name}")
    for got, expected in [(mine(x), theirs(x)) for x in inputs]:
        close(got, expected)


def compare_losses(name, student, reference, logits_and_labels, loss):
    """The same for a cross entropy: it gets probabilities, as a tensor, and TensorFlow's own gets the logits."""
    rows = []
    for logits, label in logits_and_labels:
        prob = softmax(logits) if name == "softmax_ce" else 1.0 / (1.0 + np.exp(-logits))
        expected = getattr(reference, f"tf_{name}")(logits, label)
        rows.append((getattr(student, name)(tensor(prob), label), expected, between(prob, label, loss)))
    for got, expected, bounds in rows:
        close(got, expected, or_between=bounds)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# softmax ----------------------------------------------------------------------------------------------------------


@check(part="softmax", points=14)
def softmax_matches_tensorflow(student, reference, rng):
    """softmax agrees with tf.nn.softmax on random logits

    zh: softmax 在随机 logits 上与 tf.nn.softmax 一致
    """
    sheet, small = rng.normal(size=(10, 5)), [rng.normal(size=shape) for shape in small_first((1, 2), (2, 3))]
    with_example(
        lambda: compare("softmax", student, reference, [sheet]),
        lambda: compare("softmax", student, reference, small),
    )


@check(part="softmax", points=4, requires=["softmax_matches_tensorflow"])
def softmax_uses_the_last_axis(student, reference, rng):
    """softmax works on the last axis, whatever the shape and the number of axes

    zh: 无论输入是什么形状、有几维，softmax 都作用在最后一维上
    """
    shapes = small_first((3,), (2, 3), (2, 3, 4))
    compare("softmax", student, reference, [rng.normal(size=shape) for shape in shapes])


@check(part="softmax", points=4, requires=["softmax_matches_tensorflow"])
def softmax_is_stable(student, reference, rng):
    """softmax stays finite for logits of 1000, of -1000, and far apart

    zh: logits 为 1000、-1000 或相差很大时，softmax 仍是有限的数
    """
    rows = ([[1000.0, 1000.0]], [[-1000.0, -1000.0, -1000.0]], [[1000.0, -1000.0], [-1000.0, 1.0]], [[1000.0, 0, 0, 0]])
    compare("softmax", student, reference, [np.array(x) for x in rows])


@check(part="softmax", points=2, requires=["softmax_matches_tensorflow"])
def softmax_keeps_its_input(student, reference, rng):
    """softmax leaves its input as it was

    zh: softmax 不修改它的输入
    """
    x = rng.normal(size=(3, 4))
    held = student.hold(x)
    student.softmax(held)
    unchanged(x=(held, x))


# sigmoid ----------------------------------------------------------------------------------------------------------


@check(part="sigmoid", points=14)
def sigmoid_matches_tensorflow(student, reference, rng):
    """sigmoid agrees with tf.nn.sigmoid on random logits

    zh: sigmoid 在随机 logits 上与 tf.nn.sigmoid 一致
    """
    sheet, small = rng.normal(size=(10, 5)), [rng.normal(size=shape) for shape in small_first((2,), (2, 3))]
    with_example(
        lambda: compare("sigmoid", student, reference, [sheet]),
        lambda: compare("sigmoid", student, reference, small),
    )


@check(part="sigmoid", points=4, requires=["sigmoid_matches_tensorflow"])
def sigmoid_is_stable(student, reference, rng):
    """sigmoid is 0 and 1, not NaN, for logits of -1000 and 1000

    zh: logits 为 -1000 和 1000 时，sigmoid 得到 0 和 1，而不是 NaN
    """
    compare("sigmoid", student, reference, [np.array([-1000.0, 0.0, 1000.0])])


@check(part="sigmoid", points=2, requires=["sigmoid_matches_tensorflow"])
def sigmoid_keeps_its_input(student, reference, rng):
    """sigmoid leaves its input as it was

    zh: sigmoid 不修改它的输入
    """
    x = rng.normal(size=(3, 4))
    held = student.hold(x)
    student.sigmoid(held)
    unchanged(x=(held, x))


# softmax_ce -------------------------------------------------------------------------------------------------------


@check(part="softmax_ce", points=16)
def softmax_ce_matches_tensorflow(student, reference, rng):
    """softmax_ce agrees with tf.nn.softmax_cross_entropy_with_logits, averaged over the batch

    zh: softmax_ce 与 tf.nn.softmax_cross_entropy_with_logits 的批平均一致
    """
    small, sheet = (
        [(rng.normal(size=shape), rng.one_hot(*shape)) for shape in shapes]
        for shapes in (small_first((1, 2), (2, 3)), [(10, 5)])
    )
    logits, label = sheet[0]
    # one true class has probability 0.002, so that a coarse epsilon always shows, and a clip at 0.001 never does here
    others = np.log(np.exp(logits[0])[label[0] == 0].sum())
    logits[0][label[0] == 1] = others + np.log(0.002 / 0.998)
    with_example(
        lambda: compare_losses("softmax_ce", student, reference, sheet, categorical),
        lambda: compare_losses("softmax_ce", student, reference, small, categorical),
    )


@check(part="softmax_ce", points=4, requires=["softmax_ce_matches_tensorflow"])
def softmax_ce_takes_any_batch(student, reference, rng):
    """softmax_ce averages over the batch it is given, whatever its size and the number of classes

    zh: 无论批大小和类别数是多少，softmax_ce 都对给定的批求平均
    """
    pairs = [(rng.normal(size=shape), rng.one_hot(*shape)) for shape in small_first((1, 2), (2, 3), (7, 4))]
    compare_losses("softmax_ce", student, reference, pairs, categorical)


@check(part="softmax_ce", points=4, requires=["softmax_ce_matches_tensorflow"])
def softmax_ce_is_exact_for_small_probabilities(student, reference, rng):
    """softmax_ce is right when the true class has a probability of about 0.001

    zh: 正确类别的概率只有约 0.001 时，softmax_ce 仍然正确
    """
    logits, label = rng.normal(size=(10, 5)), rng.one_hot(10, 5)
    compare_losses("softmax_ce", student, reference, [(logits - 8.0 * label, label)], categorical)


@check(part="softmax_ce", points=6, requires=["softmax_ce_matches_tensorflow"])
def softmax_ce_survives_exact_zeros(student, reference, rng):
    """softmax_ce is a number when a class that is not the label has probability exactly 0

    zh: 非标签类别的概率恰好为 0 时，softmax_ce 仍是一个数
    """
    prob = np.tile([[1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.25, 0.75, 0.0, 0.0]], (5, 1))
    label = np.tile([[1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]], (5, 1))
    got = student.softmax_ce(tensor(prob), label)
    close(got, categorical(np.where(label > 0, prob, 1.0), label), or_between=between(prob, label, categorical))


# sigmoid_ce -------------------------------------------------------------------------------------------------------


@check(part="sigmoid_ce", points=16)
def sigmoid_ce_matches_tensorflow(student, reference, rng):
    """sigmoid_ce agrees with tf.nn.sigmoid_cross_entropy_with_logits, averaged over the batch

    zh: sigmoid_ce 与 tf.nn.sigmoid_cross_entropy_with_logits 的批平均一致
    """
    small, sheet = (
        [(rng.normal(size=shape), rng.binary(*shape)) for shape in shapes]
        for shapes in (small_first((2,), (5,)), [(10,)])
    )
    logits, label = sheet[0]
    logits[0] = 6.0 - 12.0 * label[0]  # one label is improbable, so that a coarse epsilon or clip always shows
    with_example(
        lambda: compare_losses("sigmoid_ce", student, reference, sheet, binary),
        lambda: compare_losses("sigmoid_ce", student, reference, small, binary),
    )


@check(part="sigmoid_ce", points=4, requires=["sigmoid_ce_matches_tensorflow"])
def sigmoid_ce_takes_any_batch(student, reference, rng):
    """sigmoid_ce is right for small batches, of only ones and of only zeros too

    zh: 批很小、标签全为 1 或全为 0 时，sigmoid_ce 都正确
    """
    pairs = [(rng.normal(size=(4,)), label) for label in (np.ones(4), np.zeros(4), rng.binary(4))]
    compare_losses("sigmoid_ce", student, reference, pairs, binary)


@check(part="sigmoid_ce", points=6, requires=["sigmoid_ce_matches_tensorflow"])
def sigmoid_ce_survives_exact_zeros(student, reference, rng):
    """sigmoid_ce is a number when a probability is exactly 0 or 1

    zh: 概率恰好为 0 或 1 时，sigmoid_ce 仍是一个数
    """
    prob = np.tile([1.0, 0.0], 5)
    label = np.tile([1.0, 0.0], 5)
    got = student.sigmoid_ce(tensor(prob), label)
    finite(got, "the loss")
    close(got, 0.0, or_between=between(prob, label, binary))
