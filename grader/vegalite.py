"""Specifications of charts before they are drawn: what can be read off one, and which are let through.

They are written by authors of assignments and come out of a database, so they are not trusted, and the renderer cannot
be interrupted once it has begun. Hence `refusal`: a vocabulary without addresses, signals and generators, inline rows,
expressions of arithmetic only, all of bounded size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from grader.reports import Json

MOST_ROWS, MOST_PANELS, MOST_DEPTH, MOST_COUNT = 8000, 24, 24, 50


# What a specification looks like -------------------------------------------------------------------------------------


def _parts(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The specification and its layers."""
    yield spec
    layers = spec.get("layer")
    for layer in layers if isinstance(layers, list) else ():
        if isinstance(layer, dict):
            yield layer


def _channel(part: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    encoding = part.get("encoding")
    found = encoding.get(name) if isinstance(encoding, dict) else None
    return found if isinstance(found, dict) else {}


def kind(spec: Mapping[str, Any]) -> str:
    """ "matrix" when both axes are categories, "list" when the one upwards is, else "plane"."""
    types = [(_channel(part, "x").get("type"), _channel(part, "y").get("type")) for part in _parts(spec)]
    across, up = (any(t in ("nominal", "ordinal") for t in axis) for axis in zip(*types, strict=True))
    return "matrix" if across and up else "list" if up else "plane"


def _rows(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    data = spec.get("data")
    values = data.get("values") if isinstance(data, dict) else None
    for row in values if isinstance(values, list) else ():
        if isinstance(row, dict):
            yield row


def values(spec: Mapping[str, Any], channel: str) -> set[str]:
    """The different values on an axis of categories."""
    found: set[str] = set()
    for part in _parts(spec):
        field = _channel(part, channel).get("field")
        if isinstance(field, str):
            found |= {str(row.get(field)) for holder in (spec, part) for row in _rows(holder)}
    return found


def panels(spec: Mapping[str, Any]) -> int:
    """How many panels a facet makes."""
    facet = spec.get("facet")
    field = facet.get("field") if isinstance(facet, dict) else None
    return len({str(row.get(str(field))) for row in _rows(spec)})


# What is let through -------------------------------------------------------------------------------------------------

_WORDS: Final = frozenset(
    {
        "$schema", "aggregate", "align", "anchor", "angle", "as", "aspect", "axis", "band", "bandPosition", "base",
        "baseline", "calculate", "caption", "clamp", "color", "columns", "condition", "constant", "cornerRadius",
        "data", "datum", "description", "direction", "domain", "domainMax", "domainMin", "dx", "dy", "encoding",
        "exponent", "facet", "field", "fill", "fillOpacity", "filled", "filter", "fontSize", "fontStyle", "fontWeight",
        "format", "formatType", "grid", "header", "interpolate", "joinaggregate", "label", "labelAlign", "labelAngle",
        "labelFontSize", "labelLimit", "labelOrient", "labelOverlap", "labelPadding", "labels", "layer", "legend",
        "limit", "line", "lineBreak", "lineHeight", "mark", "nice", "offset", "op", "opacity", "order", "orient",
        "padding", "paddingInner", "paddingOuter", "point", "range", "resolve", "reverse", "scale", "scheme", "shape",
        "size", "sort", "spec", "stack", "step", "stroke", "strokeCap", "strokeDash", "strokeOpacity", "strokeWidth",
        "style", "symbolFillColor", "symbolSize", "symbolStrokeColor", "symbolType", "test", "text", "theta",
        "tickCount", "tickMinStep", "tickSize", "tickWidth", "ticks", "title", "titleAlign", "titleAnchor",
        "titleAngle", "titleFontSize", "titleOrient", "titlePadding", "titleX", "titleY", "tooltip", "transform",
        "type", "unit", "usermeta", "value", "values", "x", "x2", "xOffset", "y", "y2", "yOffset", "zero", "zindex",
    }
)  # fmt: skip
_EXPRESSIONS: Final = frozenset({"calculate", "filter", "test"})
_COUNTS: Final = frozenset({"tickCount", "columns", "step", "exponent", "base"})
_EXPRESSION: Final = re.compile(
    r"""(?:\s|datum\.\w++|'[^'\\]*+'|"[^"\\]*+"|\d++(?:\.\d++)?(?:e[-+]?\d++)?|true|false|null"""
    r"""|(?:abs|ceil|exp|floor|isFinite|isValid|log|max|min|pow|round|sqrt)(?=\()|[-+*/%<>=!&|?:(),])++"""
)
_FORMAT: Final = re.compile(r"(?!.*\d{3})[ -~]{0,12}")


def refusal(spec: Json) -> str:
    """Why a specification is not drawn; empty when nothing speaks against it."""
    if not isinstance(spec, dict):
        return "its specification is no object"
    try:
        rows = _examined(spec, "", 0)
    except ValueError as error:
        return str(error)
    if rows > MOST_ROWS:
        return f"it has {rows} rows of data; at most {MOST_ROWS} are drawn"
    if "facet" in spec and (count := panels(spec)) > MOST_PANELS:
        return f"it has {count} panels; at most {MOST_PANELS} are drawn"
    return "" if "facet" not in spec or isinstance(spec.get("spec"), dict) else "a facet needs a spec"


def _examined(tree: Json, key: str, depth: int) -> int:
    """How many rows of data there are. Raises ValueError saying what is not let through."""
    if depth > MOST_DEPTH:
        raise ValueError(f"it is nested deeper than {MOST_DEPTH} levels")
    if isinstance(tree, dict):
        if key == "data":
            return _examined_data(tree)
        if (strange := next((name for name in tree if name not in _WORDS), None)) is not None:
            raise ValueError(f"it uses the word {strange[:40]!r}, which figures here do not have")
        if depth and tree.keys() & {"facet", "spec"}:
            raise ValueError("panels stand at the top only")
        return sum(_examined(value, name, depth + 1) for name, value in tree.items())
    if isinstance(tree, list):
        return sum(_examined(item, key, depth + 1) for item in tree)
    if isinstance(tree, str):
        _examine_text(tree, key)
    elif isinstance(tree, (int, float)) and key in _COUNTS and not 0 <= tree <= MOST_COUNT:
        raise ValueError(f"{key} is {tree}; at most {MOST_COUNT} is drawn")
    return 0


def _examine_text(text: str, key: str) -> None:
    if key in _EXPRESSIONS and not _EXPRESSION.fullmatch(text):
        raise ValueError(f"its {key} is more than arithmetic on the data: {text[:60]!r}")
    if key in ("format", "formatType") and not _FORMAT.fullmatch(text):
        raise ValueError(f"its {key} is {text[:60]!r}")
    if "url(" in text.lower() or len(text) > 1000 or (key != "text" and not text.isprintable()):
        raise ValueError(f"its {key} is a text that is not let through: {text[:60]!r}")


def _examined_data(data: Mapping[str, Any]) -> int:
    values = data.get("values")
    if data.keys() != {"values"} or not isinstance(values, list):
        raise ValueError("its data are not inline values alone")
    for row in values:
        plain = isinstance(row, dict) and len(row) <= 20 and not any(isinstance(v, (dict, list)) for v in row.values())
        if not plain or any(isinstance(v, str) and len(v) > 300 for v in row.values()):
            raise ValueError("a row of its data is not a few numbers and short texts by name")
    return len(values)
