"""Vega-Lite -> SVG that may stand on a page or in a folder: `svg` for charts of our own, `drawing` for a report's.

A report's charts pass `vegalite.refusal` first. What is drawn, ours or theirs, is then copied element by element
through an allow-list: no script, no style but ours, no address of any kind.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import logging
import math
import re
import threading
import xml.etree.ElementTree as ElementTree
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grader import __version__
from grader.reports import Figure, Json, Language, Text
from grader.vegalite import MOST_PANELS, kind, panels, refusal, values
from grader.wrapping import balanced, wrap

log = logging.getLogger("grader")

INK, FAINT = "currentColor", "#808080"
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"  # Okabe and Ito; grader.css names the same three
WIDE, NARROW, FILE = 600, 318, 640  # pixels: a column of the page, a telephone, a file of its own
MOST_SPEC_BYTES, MOST_SVG_BYTES, MOST_KEPT_BYTES = 512 << 10, 1 << 20, 24 << 20

NOT_DRAWN = Text(
    en="This figure could not be drawn. What it shows is said in words.", zh="这幅图无法绘制，请看它的文字说明。"
)

_SVG = "http://www.w3.org/2000/svg"
ELEMENTS: Final = frozenset({"svg", "g", "path", "line", "rect", "circle", "text", "tspan"})
ATTRIBUTES: Final = frozenset(
    {"d", "x", "y", "x1", "y1", "x2", "y2", "dx", "dy", "cx", "cy", "r", "width", "height", "viewBox", "transform"}
    | {"fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "fill-opacity", "stroke-opacity"}
    | {"font-size", "font-weight", "text-anchor"}
)
# A gradient is the one thing that a drawing refers to: it is its own, and lives in a file of its own.
_GRADIENT_ELEMENTS: Final = frozenset({"defs", "linearGradient", "stop"})
_GRADIENT_ATTRIBUTES: Final = frozenset({"id", "offset", "stop-color", "gradientUnits"})
_GRADIENT: Final = re.compile(r"gradient_\d+")
_OWN_GRADIENT: Final = re.compile(r"url\(#gradient_\d+\)")
_LONG: Final = re.compile(r"-?\d*\.\d{3,}(?:e-?\d+)?")
_CELLS: Final = 60  # from so many on, rectangles are a picture
_ONE_AT_A_TIME = threading.Lock()

# As an <img>, a drawing knows whether the page is light or dark, and nothing else of it.
_FONTS: Final = "Arial, 'Liberation Sans', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif"
_INK_LIGHT, _INK_DARK, _PAPER_LIGHT, _PAPER_DARK = "#1a1d21", "#e7e9ec", "#ffffff", "#16191d"
_GREY_TEXT: Final = "#666666"  # FAINT is too faint for words
_AT_NIGHT: Final = {BLUE: "#56b4e9", ORANGE: "#e69f00", GREEN: "#35c79b", _GREY_TEXT: "#a8b0ba"}
STYLE: Final = (
    f"@media screen and (prefers-color-scheme:dark){{svg{{color:{_INK_DARK}}}"
    f".paper{{fill:{_PAPER_DARK}}}.name{{stroke:{_PAPER_DARK}}}"
    + "".join(f'[{kind}="{day}"]{{{kind}:{night}}}' for day, night in _AT_NIGHT.items() for kind in ("fill", "stroke"))
    + "}"
)


# Charts of our own ---------------------------------------------------------------------------------------------------


def svg(specification: dict[str, Any], label: str) -> str:
    """The drawing of a Vega-Lite specification, said as `label` to whoever cannot see it. Fetches nothing."""
    return _svg(json.dumps(specification, sort_keys=True), label)


@functools.lru_cache(maxsize=256)
def _svg(specification: str, label: str) -> str:
    root = _kept(ElementTree.fromstring(_converted(specification)), ELEMENTS, ATTRIBUTES)
    assert root is not None
    root.attrib |= {"role": "img", "aria-label": label, "class": "chart-svg"}
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _converted(specification: str) -> str:
    import vl_convert  # loads a JavaScript engine, which only processes that draw should hold

    with _ONE_AT_A_TIME:
        drawn: str = vl_convert.vegalite_to_svg(specification, allowed_base_urls=[])
    return drawn


def _kept(
    element: ElementTree.Element, elements: frozenset[str], attributes: frozenset[str]
) -> ElementTree.Element | None:
    """The element with what may be on a page and can be seen; None when nothing of it is left."""
    tag = element.tag.removeprefix(f"{{{_SVG}}}")
    if (
        tag not in elements
        or element.get("display") == "none"
        or element.get("d", "M0,0h1").startswith(("M0,0h0v0", " "))
    ):
        return None
    told = {k: v for k, v in element.attrib.items() if k in attributes and _tells(k, v, own="defs" in elements)}
    kept = ElementTree.Element(tag, {k: _LONG.sub(_rounded, v) for k, v in told.items()})
    kept.text = element.text if tag in ("text", "tspan") else None
    kept.extend(child for child in (_kept(c, elements, attributes) for c in element) if child is not None)
    if "mark-rect" in element.get("class", "") and len(kept) > _CELLS:
        kept.set("shape-rendering", "crispEdges")  # neighbouring cells must not show the paper between them
        _join(kept)
    return kept if len(kept) or tag not in ("svg", "g", "defs", "linearGradient") else None


def _join(cells: ElementTree.Element) -> None:
    """Cells of one colour as one path: a heatmap has thousands of cells, side by side, and few colours."""
    paths: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for cell in cells:
        look = tuple((name, value) for name, value in cell.items() if name != "d")
        paths.setdefault(look, []).append(cell.get("d", ""))
    for cell in list(cells):
        cells.remove(cell)
    for look, drawn in paths.items():
        ElementTree.SubElement(cells, "path", {"d": "".join(drawn), **dict(look)})


def _rounded(number: re.Match[str]) -> str:
    """A hundredth of a pixel is enough, and a heatmap has thousands of numbers."""
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _tells(name: str, value: str, *, own: bool) -> bool:
    """Whether an attribute says something that is not so anyway, and nothing that leads elsewhere."""
    if (name, value) in (("opacity", "1"), ("transform", "translate(0,0)"), ("fill", "transparent")):
        return False
    if name == "id":
        return _GRADIENT.fullmatch(value) is not None
    if name in ("fill", "stroke") and own and _OWN_GRADIENT.fullmatch(value):
        return True
    return "url(" not in value


# Figures of reports --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """Pixels. columns, rows: of panels, one each where there are none."""

    width: int
    height: int
    columns: int = 1
    rows: int = 1


def size(figure: Figure, width: int) -> Size:
    """How large the drawing will be: known before anything is drawn, so that a page does not move when it arrives."""
    spec = figure.spec if isinstance(figure.spec, dict) else {}
    narrow = width < 500
    meta = spec.get("usermeta")
    aspect = meta.get("aspect") if isinstance(meta, dict) else None
    if isinstance(aspect, (int, float)) and 0.05 < aspect < 4:
        across = min(width, 480)
        return Size(width=across, height=round(across * aspect))
    if "facet" in spec:
        count = min(max(1, panels(spec)), MOST_PANELS)
        asked = spec.get("columns")
        columns = min(count, 2 if narrow or count == 4 else min(asked, 4) if type(asked) is int and asked > 0 else 3)
        rows = math.ceil(count / columns)
        return Size(width=width, height=70 + rows * (120 if narrow else 150), columns=columns, rows=rows)
    form = kind(spec)
    if form == "matrix":
        across = min(width, 440)
        return Size(width=across, height=round(across * 0.95))
    if form == "list":
        return Size(width=width, height=96 + 48 * min(max(1, len(values(spec, "y"))), 20))
    return Size(width=width, height=round(width * (0.72 if narrow else 0.47)))


def caption(figure: Figure, lang: Language) -> str:
    """What stands under the drawing where it has no axes to name; mostly empty."""
    meta = figure.spec.get("usermeta") if isinstance(figure.spec, dict) else None
    words = meta.get("caption") if isinstance(meta, dict) else None
    said = words.get(lang) if isinstance(words, dict) else words
    return said if isinstance(said, str) else ""


def drawing(figure: Figure, lang: Language, width: int, *, titled: bool = False) -> str | None:
    """The figure as an SVG file; None when it cannot be drawn, and the log says why.

    titled: with its title in it and always on white paper, for a file of its own; else it follows light and dark.
    """
    key = fingerprint(figure, lang, width, titled=titled)
    found = _KEPT.get(key)
    if found is None:
        title = figure.title.say(lang) if titled else ""
        try:
            if (length := len(_written(figure))) > MOST_SPEC_BYTES:
                raise ValueError(f"its specification has {length >> 10} KiB")
            found = _fitted(figure.spoken(lang), size(figure, width), title, figure.alt.say(lang))
        except (ValueError, TypeError, RecursionError, ElementTree.ParseError) as error:
            _say(figure, str(error))
            found = ""
        _KEPT.put(key, found)
    return found or None


def fingerprint(figure: Figure, lang: Language, width: int, *, titled: bool = False) -> str:
    """Changes whenever the drawing does: with the figure, the language, the size, and this program."""
    try:
        text = _written(figure)
    except (ValueError, TypeError, RecursionError):
        text = figure.name  # cannot be drawn either
    said = (text, figure.title.say(lang), figure.alt.say(lang), lang, str(width), str(titled), STYLE, __version__)
    return hashlib.sha256("\0".join(said).encode(errors="replace")).hexdigest()


def _written(figure: Figure) -> str:
    """Raises ValueError, TypeError or RecursionError for a specification that is no JSON."""
    return json.dumps(figure.spec, allow_nan=False, sort_keys=True)


def not_drawn(lang: Language, width: int) -> str:
    """What stands where a figure cannot be drawn."""
    lines = wrap(NOT_DRAWN.say(lang), (width - 20) // 7)
    root = _root(Size(width=width, height=24 + 18 * len(lines)), NOT_DRAWN.say(lang), styled=True)
    for at, line in enumerate(lines):
        text = ElementTree.SubElement(root, "text", {"x": "8", "y": str(24 + 18 * at), "font-size": "13", "fill": INK})
        text.text = line
    return ElementTree.tostring(root, encoding="unicode")


def _say(figure: Figure, why: str) -> None:
    log.warning("figure %r is not drawn: %s", figure.name[:60], " ".join(why.split())[:300])


class _Drawings:
    """The drawings made last, by content; an empty one stands for a figure that cannot be drawn."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._bytes, self._lock = most_bytes, 0, threading.Lock()
        self._texts: OrderedDict[str, str] = OrderedDict()

    def get(self, key: str) -> str | None:
        with self._lock:
            if key in self._texts:
                self._texts.move_to_end(key)
            return self._texts.get(key)

    def put(self, key: str, text: str) -> str:
        with self._lock:
            self._bytes += len(text) - len(self._texts.pop(key, ""))
            self._texts[key] = text
            while self._bytes > self._most or len(self._texts) > 1000:
                self._bytes -= len(self._texts.popitem(last=False)[1])
        return text


_KEPT = _Drawings(MOST_KEPT_BYTES)


def _fitted(spec: Json, box: Size, title: str, alt: str) -> str:
    """Drawn twice: axes, labels and legends need what room they need, and what is left is for the data.

    title: also drawn, in a file of its own, which is as high as it needs. Raises ValueError for what is not drawn.
    """
    if why := refusal(spec):
        raise ValueError(why)
    across, down = (box.width - 70) / box.columns, (box.height - 60) / box.rows
    lines = balanced(title, box.width // 8) if title else []
    above = 19 * len(lines) + 14 if title else 0
    for _ in range(2):
        inner = _dressed(spec, box, max(40, round(across)), max(30, round(down)), lines)
        drawn = ElementTree.fromstring(_converted(json.dumps(inner, allow_nan=False)))
        seen = Size(width=math.ceil(float(drawn.get("width", 1))), height=math.ceil(float(drawn.get("height", 1))))
        across -= (seen.width - box.width) / box.columns
        down -= (seen.height - box.height - above) / box.rows
    kept = _kept(drawn, ELEMENTS | _GRADIENT_ELEMENTS, ATTRIBUTES | _GRADIENT_ATTRIBUTES)
    if kept is None:
        raise ValueError("nothing of it can be seen")
    root = _root(seen if title else box, alt, styled=not title, seen=seen)
    root.extend(kept)
    for text in root.iter("text"):
        if text.get("fill") == FAINT:
            text.set("fill", _GREY_TEXT)
        if text.get("fill") in _AT_NIGHT:  # the name of a line, which other lines may cross
            text.attrib |= {"class": "name", "stroke": _PAPER_LIGHT, "stroke-width": "3", "paint-order": "stroke"}
    made = ElementTree.tostring(root, encoding="unicode")
    if len(made) > MOST_SVG_BYTES:
        raise ValueError(f"its drawing has {len(made) >> 10} KiB")
    return made


def _root(box: Size, label: str, *, styled: bool, seen: Size | None = None) -> ElementTree.Element:
    view = seen or box
    attributes = {
        "xmlns": _SVG, "role": "img", "aria-label": _printable(label), "width": str(box.width),
        "height": str(box.height), "viewBox": f"0 0 {view.width} {view.height}", "font-family": _FONTS,
        "color": _INK_LIGHT,
    }  # fmt: skip
    root = ElementTree.Element("svg", attributes)
    if styled:
        ElementTree.SubElement(root, "style").text = STYLE
    paper = {"class": "paper", "width": "100%", "height": "100%", "fill": _PAPER_LIGHT}
    ElementTree.SubElement(root, "rect", paper)
    return root


def _printable(text: str) -> str:
    """Without characters that XML cannot hold."""
    return "".join(c if c.isprintable() and not "\ud800" <= c <= "\udfff" else " " for c in text)


def _dressed(spec: Json, box: Size, across: int, down: int, heading: Sequence[str]) -> Json:
    """The specification with the size of its panels, what the page looks like, and titles broken into lines."""
    made: dict[str, Any] = copy.deepcopy(spec)
    made.pop("usermeta", None)
    for channel, told in _channels(made):
        scale = told.get("scale")
        if isinstance(scale, dict) and channel in ("color", "fill") and isinstance(scale.get("range"), list):
            scale.setdefault("interpolate", "rgb")  # the renderer's own way from white to blue leads through cyan
        if isinstance(scale, dict) and scale.get("type") == "log" and isinstance(told.get("axis"), dict):
            told["axis"] |= {"gridOpacity": _AT_DECADES, "tickOpacity": _AT_DECADES}
            if channel == "x" and kind(spec) == "list":
                scale.setdefault("padding", 22)  # values stand above the points, also above one at the edge
    for holder, channel in _titles(made):
        room = down * box.rows if channel == "y" else across * box.columns
        holder["title"] = balanced(str(holder["title"]), max(12, int(room / 6.4)))
    panel: dict[str, Any] = made["spec"] if "facet" in made else made
    panel |= {"width": across, "height": down}
    if "facet" in made:
        made |= {"columns": box.columns, "spacing": {"row": 8, "column": 14}}
    if heading:
        made["title"] = {"text": [*heading], "anchor": "start", "frame": "bounds", "offset": 14}
    small = box.width < 500
    axis: dict[str, Any] = {
        "labelColor": INK, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal",
        "domainColor": FAINT, "tickColor": FAINT, "gridColor": FAINT, "gridOpacity": 0.22, "titlePadding": 8,
        "labelOverlap": True,
    }  # fmt: skip
    plain = {
        "labelColor": INK, "titleColor": INK, "labelFontSize": 11 if small else 12, "titleFontSize": 12,
        "titleFontWeight": "normal",
    }  # fmt: skip
    made["config"] = {
        "view": {"stroke": None}, "axis": axis, "axisQuantitative": {"tickCount": 5},
        "legend": plain, "header": plain, "text": {"color": INK, "fontSize": 11 if small else 12},
        "title": {"color": INK, "fontSize": 15, "fontWeight": 600},
    }  # fmt: skip
    return {**made, "background": None, "autosize": {"type": "pad"}, "padding": 6}


_DECADE: Final = "abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-6"
_AT_DECADES: Final = {"condition": {"test": _DECADE, "value": 0.5}, "value": 0.12}


def _channels(tree: Json) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every channel of every encoding, by its name."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == "encoding" and isinstance(value, dict):
                yield from ((channel, told) for channel, told in value.items() if isinstance(told, dict))
            elif name != "data":
                yield from _channels(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from _channels(item)


def _titles(tree: Json, key: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """Every axis, legend and header that has a title, and by which channel it is named."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name in ("axis", "legend", "header") and isinstance(value, dict) and isinstance(value.get("title"), str):
                yield value, key
            elif name != "data":
                yield from _titles(value, name)
    elif isinstance(tree, list):
        for item in tree:
            yield from _titles(item, key)
