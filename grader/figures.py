"""Charts that a check attaches to its result: Vega-Lite with its data, a title that states the finding, a text.

    attach(student, loss_curve(yours=losses, reference=right))

Every function takes what student code returned, so it gives None where that cannot be drawn, and `attach` then does
nothing: a chart never decides a verdict. Size, fonts and the colours of the page are added where it is shown. Colours
are those of Okabe and Ito; ink is "currentColor".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from grader.maps import confusion, error_heatmap, worst_digits
from grader.marks import BLUE, FAINT, GREEN, INK, ORANGE, Array, axis, both, cell, numbers, short
from grader.reports import Figure, Json, Text
from grader.subjects import Subject

__all__ = [
    "BLUE", "EPOCH", "FAINT", "GREEN", "INK", "LOSS", "ORANGE", "STEP", "Figure", "Text", "attach", "confusion",
    "error_heatmap", "fit", "gradient_norms", "loss_curve", "numbers", "short", "worst_digits",
]  # fmt: skip

MOST_FIGURES, MOST_BYTES, MOST_POINTS = 6, 256 << 10, 400


def attach(student: Subject, figure: Figure | None) -> None:
    """Puts a chart beside the check that runs. Raises ValueError for one that is too large, or too many."""
    if figure is None:
        return
    size = len(json.dumps(figure.spec))
    if size > MOST_BYTES:
        raise ValueError(f"figure {figure.name} has {size >> 10} KiB; at most {MOST_BYTES >> 10} are kept")
    figures = student._conversation.figures
    if len(figures) >= MOST_FIGURES or any(other.name == figure.name for other in figures):
        raise ValueError(f"figure {figure.name}: a check has at most {MOST_FIGURES} figures, with different names")
    figures.append(figure)


STEP = Text(en="training step", zh="训练步数")
EPOCH = Text(en="epoch", zh="训练轮数（epoch）")
LOSS = Text(en="loss (mean, nats)", zh="损失（平均值，nat）")
YOURS, REFERENCE = Text(en="yours", zh="你的"), Text(en="reference", zh="参考")
TYPICAL, BOTH = Text(en="typical", zh="典型"), Text(en="yours = reference", zh="你的 = 参考")


def loss_curve(
    *,
    yours: Any,
    reference: Any = None,
    name: str = "loss",
    x: Text = STEP,
    y: Text = LOSS,
    first: int = 0,
    tolerance: float | None = None,
    typical: bool = False,
) -> Figure | None:
    """The student's curve in the accent colour over the reference's, thin and grey.

    yours, reference: (steps,) or lists of scalars; without a reference there is one curve. first: the number of the
    first point. tolerance: relative, by default a fiftieth of what the reference spans, which is what an eye can see;
    the title names the first point that differs by more. typical: the reference
    started from other weights, so the two need not agree.
    """
    mine, right = numbers(yours, (-1,)), numbers(reference, (-1,))
    if mine is None or (reference is not None and right is None):
        return None
    steps = len(mine) - 1 + first
    alt = Text(
        en=f"{y.en} over {x.en}. Yours goes from {short(mine[0])} to {short(mine[-1])}.",
        zh=f"{y.zh}随{x.zh}的变化：你的从 {short(mine[0])} 到 {short(mine[-1])}。",
    )
    title = Text(
        en=f"Your curve goes from {short(mine[0])} to {short(mine[-1])} by {x.en} {steps}",
        zh=f"到{x.zh} {steps} 为止，你的曲线从 {short(mine[0])} 变为 {short(mine[-1])}",
    )
    lines = [(YOURS, mine, BLUE, 2.2)]
    if right is not None:
        label = TYPICAL if typical else REFERENCE
        alt += Text(
            en=f"The {label.en} one goes from {short(right[0])} to {short(right[-1])}.",
            zh=f"{label.zh}曲线从 {short(right[0])} 到 {short(right[-1])}。",
        )
        lines.insert(0, (label, right, FAINT, 1.2))
        if not typical:
            at = _parting(mine, right, tolerance)
            title = _parted(at, x, first, min(len(mine), len(right)))
            if at is None:
                lines = [(Text(en="", zh=""), right, FAINT, 1.2), (BOTH, mine, BLUE, 2.2)]
    return Figure(name=name, title=title, alt=alt, spec=_lines(lines, x, y, first))


def _parting(mine: Array, right: Array, tolerance: float | None) -> int | None:
    """The first point at which two curves that should agree do not."""
    count = min(len(mine), len(right))
    size = np.abs(right[:count])
    span = float(np.ptp(right)) if np.isfinite(right).all() else 0.0
    allowed = 0.02 * span + 1e-5 * size if tolerance is None else tolerance * np.maximum(size, 1e-12)
    apart = (np.abs(mine[:count] - right[:count]) > allowed) | ~np.isfinite(mine[:count])
    return int(np.argmax(apart)) if apart.any() else None


def _parted(at: int | None, x: Text, first: int, count: int) -> Text:
    if at is None:
        return Text(
            en=f"Your curve is the reference's, up to {x.en} {first + count - 1}",
            zh=f"直到{x.zh} {first + count - 1}，你的曲线与参考一致",
        )
    return Text(
        en=f"Your curve leaves the reference's at {x.en} {first + at}",
        zh=f"从{x.zh} {first + at} 起，你的曲线偏离参考",
    )


def _lines(lines: Sequence[tuple[Text, Array, str, float]], x: Text, y: Text, first: int) -> Json:
    """Curves over whole numbers, each named at its end; a log scale where they span decades, said on the axis."""
    everything = np.concatenate([values for _, values, _, _ in lines])
    finite = everything[np.isfinite(everything)]
    log = bool(finite.size and finite.min() > 0 and finite.max() / finite.min() > 50)
    y = y + Text(en="— log scale", zh="（对数坐标）") if log else y
    scale: Json = {"type": "log", "nice": False} if log else {"zero": False}
    layers: list[Json] = []
    ends = sorted(
        (
            (float(values[-1]) if math.isfinite(values[-1]) else math.inf, at)
            for at, (_, values, _, _) in enumerate(lines)
        )
    )
    offsets = {at: 7 if place == 0 else -7 for place, (_, at) in enumerate(ends)}
    for at, (label, values, colour, width) in enumerate(lines):
        keep = np.unique(np.linspace(0, len(values) - 1, min(len(values), MOST_POINTS)).astype(int))
        rows = [{"x": first + int(i), "y": v} for i in keep if (v := cell(values[i])) is not None]
        if not rows:
            continue
        encoding = {
            "x": {"field": "x", "type": "quantitative", "axis": axis(x, tickMinStep=1), "scale": {"nice": False}},
            "y": {"field": "y", "type": "quantitative", "axis": axis(y), "scale": scale},
        }
        mark = {"type": "line", "color": colour, "strokeWidth": width}
        layers.append({"data": {"values": rows}, "mark": mark, "encoding": encoding})
        text = {"type": "text", "align": "left", "dx": 6, "dy": offsets[at], "color": colour, "fontWeight": "bold"}
        if not label.en:
            continue
        named = {"values": [{**rows[-1], "label": 0}]}
        layers.append(
            {"data": named, "mark": text, "encoding": {**encoding, "text": {"value": both(label)}}},
        )
    return {"layer": layers}


def fit(
    *,
    x: Array,
    target: Array,
    predictions: Mapping[int, Any],
    name: str = "fit",
    x_label: Text | None = None,
    y_label: Text | None = None,
) -> Figure | None:
    """Prediction over target, one panel an epoch. x, target: (n,); predictions: {epoch: (n,) or (n, 1)}."""
    order = np.argsort(x)
    keep = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), 80)).astype(int))]
    rows, errors = [], {}
    for epoch, value in sorted(predictions.items()):
        array = numbers(value)
        if array is None or array.size != target.size or not np.isfinite(array).any():
            continue
        array = array.reshape(target.shape)
        errors[epoch] = float(np.mean((array - target) ** 2))
        for i in keep:
            rows.append({"epoch": epoch, "x": cell(x[i]), "target": cell(target[i]), "yours": cell(array[i])})
    if not errors:
        return None
    first, last = min(errors), max(errors)
    share = short(errors[last] / max(float(np.var(target)), 1e-300))
    title = Text(
        en=f"At epoch {last} the mean squared error is {short(errors[last])}, {share} of the target's variance",
        zh=f"第 {last} 轮时均方误差为 {short(errors[last])}，是目标方差的 {share}",
    )
    said = ", ".join(f"{short(error)} ({epoch})" for epoch, error in errors.items())
    alt = Text(
        en=f"Your prediction over the target at epochs {first} to {last}. Mean squared error (epoch): {said}.",
        zh=f"第 {first} 到 {last} 轮的预测与目标。均方误差（轮数）：{said}。",
    )
    across = {
        "x": {"field": "x", "type": "quantitative", "axis": axis(x_label or Text(en="x", zh="x"), tickCount=4)},
    }
    y_axis = axis(y_label or Text(en="y", zh="y"), tickCount=4)
    panel = {
        "layer": [
            {
                "mark": {"type": "line", "color": colour, "strokeWidth": width},
                "encoding": {
                    **across,
                    "y": {"field": field, "type": "quantitative", "axis": y_axis, "scale": {"zero": False}},
                },
            }
            for field, colour, width in (("target", FAINT, 1.2), ("yours", BLUE, 2.0))
        ]
    }
    header = {"title": both(EPOCH + Text(en="(grey: target, blue: yours)", zh="（灰色：目标，蓝色：你的）"))}
    spec = {
        "data": {"values": rows},
        "facet": {"field": "epoch", "type": "ordinal", "header": header},
        "columns": 3,
        "spec": panel,
    }
    return Figure(name=name, title=title, alt=alt, spec=spec)


def gradient_norms(*, norms: Mapping[str, Mapping[str, float]], name: str = "gradient_norms") -> Figure | None:
    """Gradient norm per layer, one row a layer of a network. norms: {network: {layer: Euclidean norm}}."""
    found = [
        (network, layer, float(norm))
        for network, layers in norms.items()
        for layer, norm in layers.items()
        if norm > 0 and math.isfinite(norm)
    ]
    if not found:
        return None
    title = _smaller(found)
    low, high = min(found, key=lambda row: row[2]), max(found, key=lambda row: row[2])
    said = "; ".join(f"{network} {layer} {short(norm)}" for network, layer, norm in found)
    alt = Text(en=f"Euclidean norm of the gradient per layer: {said}.", zh=f"各层梯度的欧几里得范数：{said}。")
    label = Text(en="norm of the gradient (Euclidean, log scale)", zh="梯度范数（欧几里得范数，对数坐标）")
    rows = [
        {"network": network, "layer": f"{network} {layer}" if len(norms) > 1 else layer, "norm": cell(norm)}
        | {"label": short(norm)}
        for network, layer, norm in found
    ]
    # Half a decade more on both sides, so that no number stands outside.
    scale = {"type": "log", "domain": [cell(low[2] / 3), cell(high[2] * 10)], "nice": False}
    encoding = {
        "x": {"field": "norm", "type": "quantitative", "axis": axis(label, tickCount=5), "scale": scale},
        "y": {"field": "layer", "type": "nominal", "sort": None, "axis": axis(Text(en="layer", zh="层"))},
    }
    networks = list(dict.fromkeys(row[0] for row in found))
    colours = [(BLUE, ORANGE, GREEN, INK)[at % 4] for at in range(len(networks))]
    shapes = [("circle", "square", "triangle-up", "diamond")[at % 4] for at in range(len(networks))]
    point = {
        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
        "encoding": {
            **encoding,
            "color": {"field": "network", "type": "nominal", "scale": {"domain": networks, "range": colours}}
            | {"legend": None},
            "shape": {"field": "network", "type": "nominal", "scale": {"domain": networks, "range": shapes}}
            | {"legend": None},
        },
    }
    text = {
        "mark": {"type": "text", "align": "left", "dx": 9, "color": INK},
        "encoding": {**encoding, "text": {"field": "label"}},
    }
    return Figure(name=name, title=title, alt=alt, spec={"data": {"values": rows}, "layer": [point, text]})


def _smaller(found: Sequence[tuple[str, str, float]]) -> Text:
    """The layers of one network compared with each other; of several, the networks."""
    sizes: dict[str, float] = {layer: norm for _, layer, norm in found}
    networks = dict.fromkeys(network for network, _, _ in found)
    if len(networks) > 1:
        sizes = {n: math.exp(np.mean([math.log(norm) for m, _, norm in found if m == n])) for n in networks}
    low, high = min(sizes, key=lambda name: sizes[name]), max(sizes, key=lambda name: sizes[name])
    ratio = short(sizes[high] / sizes[low])
    return Text(
        en=f"The gradients of {low} are {ratio} times smaller than those of {high}",
        zh=f"{low} 的梯度是 {high} 的 {ratio} 分之一",
    )
