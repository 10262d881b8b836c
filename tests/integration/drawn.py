"""A service whose reports have figures and pictures, for tests of what is shown."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from grader.assignments import Assignment
from grader.figures import confusion, error_heatmap, fit, gradient_norms, loss_curve, worst_digits
from grader.grading import Engine
from grader.reports import CheckResult, Figure, Picture, Report, Text

from .service import FakeEngine, Kit, make_kit

ADD, SUBTRACT = "add_works", "subtract_works"


def sample_figures() -> dict[str, Figure]:
    """One of each kind that checks attach."""
    draw = np.random.default_rng(0)
    steps = np.arange(120)
    right = 2.3 * np.exp(-steps / 20) + 0.01
    x = np.linspace(-3, 3, 80)
    rows, columns = np.mgrid[:28, :28]
    images = np.stack([np.clip(1.5 - abs(np.hypot(rows - 14, columns - 14) - 6 - i % 3), 0, 1) for i in range(8)])
    labels = np.arange(8)
    gradient = draw.normal(size=(30, 20))
    off = gradient.copy()
    off[5:9, 3:8] *= 2
    made = [
        loss_curve(yours=np.where(steps < 12, right, 1.3 * right), reference=right),
        fit(x=x, target=np.sin(x), predictions={n: (1 - math.exp(-n / 300)) * np.sin(x) for n in (0, 100, 300, 1000)}),
        gradient_norms(norms={"sigmoid": {"W1": 1e-4, "W2": 1e-2}, "ReLU": {"W1": 0.3, "W2": 0.5}}),
        confusion(labels=draw.integers(0, 10, 200), predictions=draw.integers(0, 10, 200)),
        worst_digits(images=images, labels=labels, probabilities=np.eye(10)[labels + 1]),
        error_heatmap(
            got=off, expected=gradient, what="dW1", rows=Text(en="input", zh="输入"),
            columns=Text(en="hidden unit", zh="隐藏单元"),
        ),
    ]  # fmt: skip
    return {figure.name: figure for figure in made if figure is not None}


def plain_figure(name: str = "loss", spec: Any = None, *, alt: str = "The loss falls from 3 to 1.") -> Figure:
    """A small figure of our own. spec: instead of a line through three points."""
    line = {
        "data": {"values": [{"x": 0, "y": 3}, {"x": 1, "y": 2}, {"x": 2, "y": 1}]},
        "mark": {"type": "line", "color": "#0072B2"},
        "encoding": {
            "x": {"field": "x", "type": "quantitative", "axis": {"title": {"en": "step", "zh": "步数"}}},
            "y": {"field": "y", "type": "quantitative", "axis": {"title": {"en": "loss", "zh": "损失"}}},
        },
    }
    title = Text(en="The loss falls", zh="损失在下降")
    return Figure(name=name, title=title, alt=Text(en=alt, zh="损失从 3 降到 1。"), spec=line if spec is None else spec)


def png(width: int = 3, height: int = 2, after: bytes = b"") -> bytes:
    """A picture of one colour. after: bytes behind its end, where a reader of pictures does not look."""
    row = b"\0" + b"\x20\x60\xa0" * width
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(row * height)),
        (b"IEND", b""),
    )
    made = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        made += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return made + after


def picture(width: int = 3, height: int = 2, after: bytes = b"") -> Picture:
    return Picture(png=png(width, height, after), width=width, height=height)


class DrawingEngine(FakeEngine):
    """Grades as FakeEngine does, and hangs these figures and pictures on the checks with these ids."""

    def __init__(
        self, figures: Mapping[str, Sequence[Figure]], pictures: Mapping[str, Sequence[Picture]] | None = None
    ) -> None:
        super().__init__()
        self.figures, self.pictures = figures, pictures or {}

    def grade(
        self, assignment: Assignment, file: str, data: bytes, *, seed: Any = None, on_check: Any = None
    ) -> Report:
        report = super().grade(assignment, file, data, seed=seed, on_check=on_check)
        return replace(report, checks=tuple(self._illustrated(check) for check in report.checks))

    def _illustrated(self, check: CheckResult) -> CheckResult:
        figures, pictures = self.figures.get(check.id, ()), self.pictures.get(check.id, ())
        return replace(check, figures=tuple(figures), pictures=tuple(pictures))


def draw(kit: Kit, figures: Mapping[str, Sequence[Figure]], pictures: Mapping[str, Sequence[Picture]]) -> None:
    """From now on the kit's reports have these."""
    kit.worker.engine = cast(Engine, DrawingEngine(figures, pictures))


def drawing_kit(folder: Path) -> Kit:
    """Every kind of figure: most on a check that can fail, one on a passed one; and a picture."""
    kit = make_kit(folder)
    samples = list(sample_figures().values())
    draw(kit, {ADD: samples[:1], SUBTRACT: samples[1:]}, {ADD: [picture(320, 200)]})
    return kit
