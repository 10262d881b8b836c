"""What charts are made of: colours, numbers taken from what student code returned, and axes in both languages."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from grader.reports import Json, Text
from grader.sandbox.wire import Tensor
from grader.subjects import settle

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
INK, FAINT = "currentColor", "#808080"

Array = np.ndarray[Any, Any]


def numbers(value: Any, shape: tuple[int, ...] | None = None) -> Array | None:
    """The value as float64; None when it is no array of numbers, or not of the shape (-1: any length there)."""
    value = settle(value)
    value = value.array if isinstance(value, Tensor) else value
    try:
        array = np.asarray([_first(item) for item in value] if isinstance(value, (list, tuple)) else value)
    except (ValueError, TypeError):
        return None
    if array.dtype.kind not in "biuf" or not array.size:
        return None
    if shape is not None and (
        array.ndim != len(shape) or any(w not in (-1, h) for w, h in zip(shape, array.shape, strict=True))
    ):
        return None
    return array.astype(np.float64)


def _first(item: Any) -> Any:
    """A number of a list: answers are fetched, tensors unpacked, one-element arrays made scalars."""
    item = settle(item)
    item = item.array if isinstance(item, Tensor) else item
    return item.reshape(()) if isinstance(item, np.ndarray) and item.size == 1 else item


def short(x: float) -> str:
    """Three digits, as people write them: 0.0123, 5,000; powers of ten only for what is very large or small."""
    if x and math.isfinite(x) and not 1e-3 <= abs(x) < 1e6:
        return f"{x:.2e}".replace("e+", "e").replace("e0", "e").replace("e-0", "e-")
    return f"{float(f'{x:.3g}'):,.10g}"


def cell(x: float) -> float | None:
    """A number of the data: five digits are more than a pixel; what is not finite leaves a gap."""
    return float(f"{x:.5g}") if math.isfinite(x) else None


def axis(title: Text, **more: Any) -> Json:
    return {"title": {"en": title.en, "zh": title.zh}, **more}


def both(text: Text) -> Json:
    return {"en": text.en, "zh": text.zh}
