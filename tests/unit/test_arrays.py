"""Data files: the digits that come with Grader, what a wrong file is told, and which digits students' code may read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grader.arrays import SCORING, load_arrays, load_digits
from grader.errors import AssignmentError
from grader.sandbox.digits import SHIPPED, readable_digits

RNG = np.random.Generator(np.random.PCG64(7))


def some(**changes: Any) -> dict[str, Any]:
    """A small file of digits, with other arrays in some places; None leaves one out."""
    arrays: dict[str, Any] = {}
    for part, count in (("train", 30), ("test", 20)):
        arrays[f"x_{part}"] = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"y_{part}"] = np.arange(count, dtype=np.uint8) % 10
    return {name: array for name, array in {**arrays, **changes}.items() if array is not None}


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def images_in(npz: bytes) -> set[bytes]:
    with np.load(io.BytesIO(npz)) as file:
        return {image.tobytes() for part in ("train", "test") for image in file[f"x_{part}"]}


def test_the_digits_that_come_with_grader() -> None:
    digits = load_digits(SHIPPED)
    assert np.bincount(digits.y_train).tolist() == [400] * 10
    assert np.bincount(digits.y_test).tolist() == [100] * 10
    assert np.bincount(digits.y_scoring).tolist() == [SCORING // 10] * 10
    assert digits.x_scoring.shape == (SCORING, 28, 28)
    every = {image.tobytes() for image in (*digits.x_train, *digits.x_test)}
    assert len(every) == 5000  # no image is in it twice, so none that scores can be learnt
    assert load_digits(SHIPPED) is digits


def test_arrays_cannot_be_written_to() -> None:
    digits = load_digits(SHIPPED)
    for array in (digits.x_train, digits.y_test, digits.x_scoring, *load_arrays(SHIPPED).values()):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


WRONG = {
    "no labels": (some(y_test=None), "has no y_test"),
    "flat images": (some(x_train=np.zeros((30, 784), np.uint8)), "x_train must be uint8"),
    "images as floating point": (some(x_test=np.zeros((20, 28, 28))), "x_test must be uint8"),
    "no images": (some(x_test=np.zeros((0, 28, 28), np.uint8), y_test=np.zeros(0, np.uint8)), "x_test must be"),
    "too few labels": (some(y_train=np.zeros(3, np.uint8)), "y_train must be 30 digits"),
    "a label of ten": (some(y_test=np.full(20, 10, np.uint8)), "up to 10"),
    "one-hot labels": (some(y_train=np.eye(10, dtype=np.uint8)[np.zeros(30, int)]), "y_train must be 30 digits"),
    "objects": (some(y_train=np.array([None] * 30)), "not an .npz file of plain arrays"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_told_what_is_wrong(name: str, tmp_path: Path) -> None:
    arrays, said = WRONG[name]
    with pytest.raises(AssignmentError, match=r"digits\.npz") as caught:
        load_digits(saved(tmp_path / "digits.npz", **arrays))
    assert said in str(caught.value)


def test_what_is_no_archive(tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole.npz", **some()).read_bytes()
    np.save(tmp_path / "array.npy", np.zeros(3))
    for content in (b"", b"text", whole[: len(whole) // 2], (tmp_path / "array.npy").read_bytes()):
        path = tmp_path / "digits.npz"
        path.write_bytes(content)
        load_arrays.cache_clear()
        with pytest.raises(AssignmentError, match=r"not an \.npz file"):
            load_arrays(path)
    with pytest.raises(AssignmentError, match="is missing"):
        load_arrays(tmp_path / "absent.npz")


def test_of_the_shipped_digits_those_that_score_stay_outside() -> None:
    digits = load_digits(SHIPPED)
    secret = {image.tobytes() for image in digits.x_scoring}
    assert images_in(readable_digits()) == {i.tobytes() for i in (*digits.x_train, *digits.x_test)} - secret
    with np.load(io.BytesIO(readable_digits())) as file:
        assert [len(file[key]) for key in ("x_train", "y_train", "x_test", "y_test")] == [4000, 4000, 500, 500]
        np.testing.assert_array_equal(file["y_test"], digits.y_test[:-SCORING])


def test_a_complete_file_keeps_its_size_and_loses_what_scores(tmp_path: Path) -> None:
    """Digits that score are part of the complete MNIST too: another of the same class takes each one's place."""
    digits, own = load_digits(SHIPPED), some()
    own["x_train"][3:9], own["y_train"][3:9] = digits.x_scoring[:6], digits.y_scoring[:6]
    own["x_test"][0], own["y_test"][0] = digits.x_scoring[77], digits.y_scoring[77]
    npz = readable_digits(saved(tmp_path / "complete.npz", **own))
    assert images_in(npz) & {image.tobytes() for image in digits.x_scoring} == set()
    with np.load(io.BytesIO(npz)) as file:
        for key, array in own.items():
            assert file[key].shape == array.shape
        np.testing.assert_array_equal(file["x_train"][9:], own["x_train"][9:])
        np.testing.assert_array_equal(file["y_train"], own["y_train"])


def test_without_the_shipped_file_there_are_no_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grader.sandbox.digits.SHIPPED", tmp_path / "absent.npz")
    assert readable_digits(tmp_path / "absent.npz") == b""
