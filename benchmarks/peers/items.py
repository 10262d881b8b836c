"""Six items of the homework, as one file for every grader of the comparison: the same calls, inputs and tolerances.

`compare` calls the student's names and the reference's, and hands each pair to `close`. In a peer that is
`assert_close` in the student's own process; in ours both are called in sandboxes and compared outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

ITEMS = ("softmax", "sigmoid", "softmax_ce", "sigmoid_ce", "Matmul", "Relu")
ATOL = 1e-6


def compare(
    item: str, student: Any, reference: Any, tensor: Callable[[Any], Any], close: Callable[[Any, Any], None]
) -> None:
    """Raises what `close` raises when the student's item is wrong. tensor: makes a tensor of an array."""
    rng = np.random.default_rng([2026, ITEMS.index(item)])
    if item in ("softmax", "sigmoid"):
        inputs = [rng.normal(size=shape) for shape in ((2, 3), (10, 5))]
        pairs = [(getattr(student, item)(x), getattr(reference, item)(x)) for x in inputs]
    elif item in ("softmax_ce", "sigmoid_ce"):
        logits = rng.normal(size=(10, 5) if item == "softmax_ce" else 10)
        label = np.eye(5)[rng.integers(5, size=10)] if item == "softmax_ce" else np.arange(10.0) % 2
        exponential = np.exp(logits)
        prob = exponential / (exponential.sum(axis=-1, keepdims=True) if item == "softmax_ce" else 1 + exponential)
        pairs = [(getattr(student, item)(tensor(prob), label), getattr(reference, item)(tensor(prob), label))]
    else:
        pairs = layer_pairs(item, student, reference, rng)
    for got, expected in pairs:
        close(got, expected)


def layer_pairs(item: str, student: Any, reference: Any, rng: np.random.Generator) -> list[tuple[Any, Any]]:
    """What forward and backward of the student's layer give, beside the reference's."""
    x, weights, above = rng.normal(size=(5, 7)), rng.normal(size=(7, 3)), rng.normal(size=(5, 3))
    inputs, upstream = ((x, weights), above) if item == "Matmul" else ((x,), x[::-1].copy())
    mine, theirs = getattr(student, item)(), getattr(reference, item)()
    pairs = [(mine.forward(*inputs), theirs.forward(*inputs))]
    got, expected = mine.backward(upstream), theirs.backward(upstream)
    if item == "Matmul":
        return [*pairs, (got[0], expected[0]), (got[1], expected[1])]
    return [*pairs, (got, expected)]


def assert_close(got: Any, expected: Any) -> None:
    """What a peer compares with."""
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=0, atol=ATOL)
