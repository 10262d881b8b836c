"""Which digits of MNIST students' code may read: prepared once in the trusted process, as the bytes of an .npz file.

Checks score a trained network on the last 500 test digits of the file that Grader ships. Those, with or without their
labels, are in nothing that a child can read: neither in the shipped file as it is handed over, nor in a complete one
of an administrator, which may hold the same images elsewhere.
"""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np

from grader.arrays import Array, load_digits

SHIPPED = Path(__file__).resolve().parents[2] / "reference" / "data" / "mnist_5k.npz"


@functools.cache
def readable_digits(path: Path = SHIPPED, scoring: Path = SHIPPED) -> bytes:
    """An uncompressed .npz of the digits at `path` without those that score; empty when nothing is shipped.

    Raises AssignmentError for a file that holds no digits.
    """
    if path == SHIPPED and not path.exists():  # an installation without the assignments that come with Grader
        return b""
    digits = load_digits(path)
    secret = {image.tobytes() for image in load_digits(scoring).x_scoring} if scoring.exists() else set()
    kept: dict[str, Any] = {}
    for part, images, labels in (
        ("train", digits.x_train, digits.y_train),
        ("test", digits.x_test, digits.y_test),
    ):
        shown = np.array([image.tobytes() not in secret for image in images])
        rows = np.flatnonzero(shown) if path == scoring else _replaced(labels, shown)
        kept[f"x_{part}"], kept[f"y_{part}"] = images[rows], labels[rows]
    file = io.BytesIO()
    np.savez(file, **kept)
    return file.getvalue()


def _replaced(labels: Array, shown: Array) -> Array:
    """Row numbers as many as there are: in place of one that is not shown, one of the same digit that is.

    So a complete file keeps its 60,000 and 10,000 rows, which programs count on.
    """
    rows = np.arange(len(labels))
    for row in np.flatnonzero(~shown):
        others = np.flatnonzero(shown & (labels == labels[row]))
        rows[row] = others[row % len(others)] if len(others) else np.flatnonzero(shown)[0]
    return rows
