"""Charts on a grid: which class was taken for which, digits as pictures, where a matrix is wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from grader.marks import BLUE, INK, ORANGE, Array, axis, both, cell, numbers, short
from grader.reports import Figure, Json, Text


def confusion(*, labels: Array, predictions: Array, classes: int = 10, name: str = "confusion") -> Figure | None:
    """How often each class was taken for which. labels, predictions: (n,) whole numbers below classes."""
    guessed = numbers(predictions, (-1,))
    if guessed is None or len(guessed) != len(labels) or not np.isfinite(guessed).all():
        return None
    counts = np.zeros((classes, classes), dtype=int)
    for true, said in zip(labels.astype(int), guessed.astype(int), strict=True):
        if 0 <= said < classes:
            counts[true, said] += 1
    wrong = counts - np.diag(np.diag(counts))
    total, right = len(labels), int(np.trace(counts))
    share = f"{100 * right / total:.0f} %"
    if wrong.any():
        true, said = (int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
        most = int(wrong[true, said])
        title = Text(
            en=f"{share} are right; most often {true} is taken for {said} ({most} times)",
            zh=f"正确率 {share}；最常见的是把 {true} 认成 {said}（{most} 次）",
        )
    else:
        title = Text(en="Every digit is recognised", zh="所有数字都认对了")
    rows = "; ".join(f"{i}: {counts[i, i]}/{counts[i].sum()}" for i in range(classes))
    alt = Text(
        en=f"Confusion matrix of {total} digits. Right per digit: {rows}.",
        zh=f"{total} 个数字的混淆矩阵。各数字认对的个数：{rows}。",
    )
    top = max(1, int(counts.max()))
    values = [
        {"true": i, "said": j, "count": int(counts[i, j]), "light": bool(counts[i, j] > 0.5 * top)}
        for i in range(classes)
        for j in range(classes)
    ]
    encoding = {
        "x": {
            "field": "said",
            "type": "ordinal",
            "axis": axis(Text(en="predicted digit", zh="预测的数字"), labelAngle=0),
        },
        "y": {"field": "true", "type": "ordinal", "axis": axis(Text(en="true digit", zh="真实的数字"))},
    }
    # Opacity, not a colour that fades to white: the page behind may be dark.
    shade = {"field": "count", "type": "quantitative", "legend": None, "scale": {"domain": [0, top], "range": [0, 1]}}
    ink = {"condition": {"test": "datum.light", "value": "#ffffff"}, "value": INK}
    spec = {
        "data": {"values": values},
        "layer": [
            {"mark": {"type": "rect", "color": BLUE}, "encoding": {**encoding, "opacity": shade}},
            {
                "transform": [{"filter": "datum.count > 0"}],
                "mark": {"type": "text", "fontSize": 10},
                "encoding": {**encoding, "text": {"field": "count", "type": "quantitative"}, "color": ink},
            },
        ],
    }
    return Figure(name=name, title=title, alt=alt, spec=spec)


def worst_digits(
    *, images: Array, labels: Array, probabilities: Any, name: str = "worst_digits", most: int = 8
) -> Figure | None:
    """The wrongly classified digits whose true class got the least probability.

    images: (n, 28, 28) from 0 to 1; labels: (n,); probabilities: (n, 10).
    """
    p = numbers(probabilities, (len(labels), -1))
    if p is None or not np.isfinite(p).all() or p.shape[1] <= int(labels.max()):
        return None
    given, said = p[np.arange(len(labels)), labels.astype(int)], p.argmax(axis=1)
    wrong = np.flatnonzero(said != labels)
    worst = wrong[np.argsort(given[wrong])][:most]
    if not worst.size:
        return None
    strokes: list[Json] = []
    names: list[Json] = []
    for place, i in enumerate(worst):
        left, top = 32 * (place % 4), 36 * (place // 4)
        strokes += _strokes(np.asarray(images[i]).reshape(28, 28), left, top)
        names.append({"x": left + 14, "y": top + 31, "true": f"{int(labels[i])}", "said": f"{int(said[i])}"})
    each = ", ".join(f"{row['true']}→{row['said']}" for row in names)
    title = Text(en="The digits that were missed most clearly", zh="错得最明显的几个数字")
    alt = Text(
        en=f"{len(worst)} digits with what they are and what they were taken for: {each}.",
        zh=f"{len(worst)} 个数字，真实值→预测值：{each}。",
    )
    height = 36 * math.ceil(len(worst) / 4)
    x_scale, y_scale = {"domain": [0, 128], "nice": False}, {"domain": [height, 0], "nice": False}

    def at(field: str, scale: Json) -> Json:
        return {"field": field, "type": "quantitative", "axis": None, "scale": scale}

    drawn = {
        "data": {"values": strokes},
        "mark": {"type": "rect", "color": INK, "strokeWidth": 0},
        "encoding": {
            "x": at("x", x_scale), "x2": {"field": "x2"}, "y": at("y", y_scale), "y2": {"field": "y2"},
            "opacity": {"field": "ink", "type": "quantitative", "legend": None, "scale": None},
        },
    }  # fmt: skip
    place_of = {"x": at("x", x_scale), "y": at("y", y_scale)}
    named = {
        "data": {"values": names},
        "transform": [{"calculate": "datum.true + ' → ' + datum.said", "as": "label"}],
        "mark": {"type": "text", "color": INK, "baseline": "middle"},
        "encoding": {**place_of, "text": {"field": "label"}},
    }
    meta = {"aspect": height / 128, "caption": both(Text(en="true → predicted digit", zh="真实数字 → 预测数字"))}
    return Figure(name=name, title=title, alt=alt, spec={"layer": [drawn, named], "usermeta": meta})


def _strokes(image: Array, left: int, top: int) -> list[Json]:
    """An image as few rectangles: runs of equal grey in each row, in four greys."""
    scaled = image / max(float(image.max()), 1e-9)
    grey = np.round(scaled * 4) / 4
    rows: list[Json] = []
    for y in range(28):
        x = 0
        while x < 28:
            end = x + 1
            while end < 28 and grey[y, end] == grey[y, x]:
                end += 1
            if grey[y, x] > 0:
                box = {"x": left + x, "x2": left + end, "y": top + y, "y2": top + y + 1}
                rows.append({**box, "ink": float(grey[y, x])})
            x = end
    return rows


def error_heatmap(
    *, got: Any, expected: Any, what: str, rows: Text, columns: Text, name: str = "error"
) -> Figure | None:
    """Where a matrix differs from the right one: |got - expected|, the largest of each block. got, expected: (r, c)."""
    mine, right = numbers(got), numbers(expected)
    if mine is None or right is None or mine.shape != right.shape or mine.ndim != 2:
        return None
    error = np.abs(mine - right)
    if not np.isfinite(error).any() or not np.nanmax(error) > 0:
        return None
    r, c = error.shape
    step_r, step_c = math.ceil(r / 28), math.ceil(c / 25)
    values = []
    for i in range(0, r, step_r):
        for j in range(0, c, step_c):
            block = error[i : i + step_r, j : j + step_c]
            if (value := cell(float(block.max()))) is not None and value > 0:
                values.append({"i": i, "j": j, "error": value})
    i, j = (int(k) for k in np.unravel_index(int(np.nanargmax(np.where(np.isfinite(error), error, -1))), error.shape))
    share = f"{100 * float(np.mean(error > 1e-6 + 1e-4 * np.abs(right))):.0f} %"
    title = Text(en=f"{share} of the entries of {what} are wrong", zh=f"{what} 有 {share} 的元素不对")
    alt = Text(
        en=f"Absolute error of {what}, {r} by {c}; the largest, {short(error[i, j])}, is in row {i}, column {j}.",
        zh=f"{what}（{r}×{c}）的绝对误差；最大值 {short(error[i, j])} 在第 {i} 行第 {j} 列。",
    )
    legend = {"title": both(Text(en="|yours - expected|", zh="|你的 - 正确的|"))}
    shade = {"range": ["#f6d5c0", ORANGE], "domainMin": 0}  # both are seen on white and on black
    spec = {
        "data": {"values": values},
        "transform": [
            {"calculate": f"min(datum.i + {step_r}, {r})", "as": "i2"},
            {"calculate": f"min(datum.j + {step_c}, {c})", "as": "j2"},
        ],
        "mark": {"type": "rect", "stroke": None},
        "encoding": {
            "x": {
                "field": "j",
                "type": "quantitative",
                "axis": axis(columns),
                "scale": {"domain": [0, c], "nice": False},
            },
            "x2": {"field": "j2"},
            "y": {
                "field": "i",
                "type": "quantitative",
                "axis": axis(rows),
                "scale": {"domain": [r, 0], "nice": False},
            },
            "y2": {"field": "i2"},
            "color": {"field": "error", "type": "quantitative", "legend": legend, "scale": shade},
        },
    }
    return Figure(name=name, title=title, alt=alt, spec=spec)
