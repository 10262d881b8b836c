"""Figures of reports as SVG: what is let in, what comes out, and what happens when nothing can."""

from __future__ import annotations

import json
import logging
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from grader import drawing, vegalite
from grader.drawing import FILE, NARROW, STYLE, WIDE
from grader.reports import Figure, Json, Language, Text
from tests.integration.drawn import plain_figure, sample_figures

SAMPLES = sample_figures()
_SVG = "{http://www.w3.org/2000/svg}"
_ALLOWED = {_SVG + name for name in (*drawing.ELEMENTS, *drawing._GRADIENT_ELEMENTS, "style")}
_NAMES = drawing.ATTRIBUTES | drawing._GRADIENT_ATTRIBUTES
_ROOT = {"role", "aria-label", "font-family", "color", "class", "shape-rendering", "paint-order"}


@pytest.fixture(autouse=True)
def _nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_KEPT", drawing._Drawings(1 << 20))


def drawn(figure: Figure, lang: Language = "en", width: int = WIDE, **options: Any) -> ElementTree.Element:
    text = drawing.drawing(figure, lang, width, **options)
    assert text is not None
    return ElementTree.fromstring(text)


def words(root: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()) for element in root.iter(_SVG + "text"))


def row(**values: Any) -> Json:
    return {**plain_figure().spec, "data": {"values": [{"x": 1, "y": 1, **values}]}}


# What comes out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_every_kind_of_figure_is_drawn_in_the_size_that_was_foretold(name: str) -> None:
    figure = SAMPLES[name]
    looks: list[tuple[Language, int]] = [("en", WIDE), ("zh", NARROW)]
    for lang, width in looks:
        box, root = drawing.size(figure, width), drawn(figure, lang, width)
        assert (root.get("width"), root.get("height")) == (str(box.width), str(box.height))
        assert box.width <= width
        view = [float(n) for n in root.get("viewBox", "").split()]
        assert view[2] <= 1.12 * box.width, "words would be shown much smaller than they should"
        assert view[3] <= 1.12 * box.height
        assert root.get("role") == "img"
        assert root.get("aria-label") == figure.alt.say(lang)


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_but_shapes_and_words_is_in_a_drawing(name: str) -> None:
    root = drawn(SAMPLES[name])
    for element in root.iter():
        assert element.tag in _ALLOWED
        assert set(element.attrib) <= _NAMES | _ROOT
        for key, value in element.attrib.items():
            assert "url(" not in value or re.fullmatch(r"url\(#gradient_\d+\)", value), (key, value)
    assert [element.text for element in root.iter(_SVG + "style")] == [STYLE]


def test_a_heatmap_needs_little_room() -> None:
    """Every cell by itself would be more than a page may weigh."""
    for name in ("worst_digits", "error"):
        assert len(drawing.drawing(SAMPLES[name], "en", WIDE) or "") < 40_000


def test_ink_follows_the_page_and_colours_are_lighter_at_night() -> None:
    root = drawn(SAMPLES["loss"])
    assert root.get("color") == "#1a1d21"
    assert {"currentColor", "#0072B2", "#666666"} >= {e.get("fill") for e in root.iter() if "text" in e.tag}
    names = [e for e in root.iter(_SVG + "text") if e.get("class") == "name"]
    assert {"yours", "reference"} == {"".join(e.itertext()) for e in names}
    assert {e.get("stroke") for e in names} == {"#ffffff"}, "other lines do not run through them"
    assert STYLE.startswith("@media screen and (prefers-color-scheme:dark)")
    assert '[stroke="#0072B2"]{stroke:#56b4e9}' in STYLE


def test_a_file_of_its_own_has_its_title_and_stays_light() -> None:
    root = drawn(SAMPLES["loss"], width=FILE, titled=True)
    assert SAMPLES["loss"].title.en.split()[-1] in words(root)
    assert not list(root.iter(_SVG + "style"))
    paper = root[0]
    assert (paper.tag.rpartition("}")[2], paper.get("width"), paper.get("fill")) == ("rect", "100%", "#ffffff")


def test_a_figure_speaks_the_language_of_its_reader() -> None:
    assert "training step" in words(drawn(SAMPLES["loss"], "en"))
    assert "训练步数" in words(drawn(SAMPLES["loss"], "zh"))
    assert drawing.caption(SAMPLES["worst_digits"], "zh").startswith("真实")
    assert drawing.caption(SAMPLES["loss"], "en") == ""


def test_four_panels_stand_two_by_two() -> None:
    box = drawing.size(SAMPLES["fit"], WIDE)
    assert (box.columns, box.rows) == (2, 2)


# What is not let in --------------------------------------------------------------------------------------------------

_LINE = plain_figure().spec
NOT_LET_IN: dict[str, tuple[Json, str]] = {
    "no object": ([], "no object"),
    "data from elsewhere": ({**_LINE, "data": {"url": "http://localhost:1/data.json"}}, "inline values"),
    "data beside values": ({**_LINE, "data": {"values": [], "format": {"type": "csv"}}}, "inline values"),
    "values as a text": ({**_LINE, "data": {"values": "x,y"}}, "inline values"),
    "generated data": ({**_LINE, "data": {"sequence": {"start": 0, "stop": 1e9}}}, "inline values"),
    "named data": ({**_LINE, "datasets": {"a": []}}, "datasets"),
    "a nested row": (row(more=[1]), "a row"),
    "a long text in a row": (row(more="x" * 301), "a row"),
    "a link": ({**_LINE, "mark": {"type": "point", "href": "http://localhost"}}, "href"),
    "an image": ({"mark": {"type": "image", "url": "x.png"}, "encoding": {}}, "url"),
    "a reference in a colour": ({**_LINE, "mark": {"type": "line", "color": "url(#a)"}}, "not let through"),
    "a signal": ({**_LINE, "mark": {"type": "line", "size": {"expr": "1"}}}, "expr"),
    "parameters": ({**_LINE, "params": []}, "params"),
    "its own configuration": ({**_LINE, "config": {}}, "config"),
    "a call that makes a long list": ({**_LINE, "transform": [{"filter": "sequence(1e9)"}]}, "arithmetic"),
    "a call by another name": ({**_LINE, "transform": [{"calculate": "datum.x + warn(1)", "as": "z"}]}, "arithmetic"),
    "text that is no expression": ({**_LINE, "transform": [{"filter": "datum['x'].constructor"}]}, "arithmetic"),
    "a generator of rows": ({**_LINE, "transform": [{"density": "x", "steps": 1e9}]}, "density"),
    "many ticks": ({**_LINE, "encoding": {"x": {"field": "x", "axis": {"tickCount": 1e9}}}}, "tickCount"),
    "wide numbers": ({**_LINE, "encoding": {"x": {"field": "x", "axis": {"format": "1000000000d"}}}}, "format"),
    "panels in panels": ({"layer": [{"facet": {"field": "x"}, "spec": _LINE}]}, "top only"),
    "a facet of nothing": ({"facet": {"field": "x"}, "data": {"values": []}}, "needs a spec"),
    "a repeated chart": ({"repeat": ["x"] * 100, "spec": _LINE}, "repeat"),
    "many panels": (
        {"data": {"values": [{"x": i} for i in range(40)]}, "facet": {"field": "x"}, "spec": {"mark": "point"}}, "40",
    ),
    "many rows": ({**_LINE, "data": {"values": [{"x": i} for i in range(8001)]}}, "8001"),
    "a control character": ({**_LINE, "mark": {"type": "text", "style": "a\x00b"}}, "not let through"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_LET_IN)
def test_what_is_not_let_in_is_not_drawn_and_the_log_says_why(name: str, caplog: pytest.LogCaptureFixture) -> None:
    spec, why = NOT_LET_IN[name]
    with caplog.at_level(logging.WARNING, "grader"):
        assert drawing.drawing(plain_figure("bad", spec), "en", WIDE) is None
    assert why in caplog.text
    assert "'bad' is not drawn" in caplog.text


def test_an_expression_of_hostile_length_is_refused_at_once() -> None:
    """The pattern never goes back over what it has read."""
    for text in ("1" * 900 + "!x", "datum.a " * 100 + "@", " " * 900 + "@", "'" * 901):
        with pytest.raises(ValueError, match="arithmetic"):
            vegalite._examined({"filter": text}, "", 0)


def deep(levels: int) -> Json:
    spec: Json = _LINE
    for _ in range(levels):
        spec = {"layer": [spec]}
    return spec


@pytest.mark.parametrize("levels", [30, 100_000])
def test_a_specification_nested_deep_is_not_drawn(levels: int) -> None:
    assert drawing.drawing(plain_figure("deep", deep(levels)), "en", WIDE) is None


def test_a_specification_of_any_size_is_refused_before_it_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_converted", lambda spec: pytest.fail("it was drawn"))
    big = row(x=0)
    big["data"]["values"] *= 40_000
    assert drawing.drawing(plain_figure("big", big), "en", WIDE) is None


@pytest.mark.parametrize("spec", [row(y=float("nan")), row(y=float("inf")), {"mark": "nonsense"}, {}, {"mark": 1}])
def test_what_the_renderer_cannot_draw_is_a_sentence(spec: Json) -> None:
    languages: list[Language] = ["en", "zh"]
    for lang in languages:
        assert drawing.drawing(plain_figure("odd", spec), lang, NARROW) is None
        root = ElementTree.fromstring(drawing.not_drawn(lang, NARROW))
        said = "".join(words(root).split())
        assert said == "".join(drawing.NOT_DRAWN.say(lang).split())


def test_titles_are_text_whatever_is_in_them() -> None:
    hostile = "<script>alert(1)</script> & \"' ]]> \x1b \ud800"
    spec = json.loads(json.dumps(_LINE))
    spec["encoding"]["x"]["axis"]["title"] = "<b onclick=x()>&amp;"
    figure = Figure(name="f", title=Text(en=hostile, zh=hostile), alt=Text(en=hostile, zh=hostile), spec=spec)
    root = drawn(figure)
    assert "<b onclick=x()>&amp;" in words(root)
    assert root.get("aria-label", "").startswith("<script>")
    assert not [element for element in root.iter() if element.tag not in _ALLOWED]


# What is kept --------------------------------------------------------------------------------------------------------


def test_a_figure_is_drawn_once_and_again_when_anything_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    convert = drawing._converted

    def counted(specification: str) -> str:
        calls.append(specification)
        return convert(specification)

    monkeypatch.setattr(drawing, "_converted", counted)
    figure = plain_figure()
    for _ in range(3):
        drawing.drawing(figure, "en", WIDE)
    assert len(calls) == 2  # to measure, and to fit
    for other in (plain_figure(alt="Another."), plain_figure(spec=row(y=2))):
        drawing.drawing(other, "en", WIDE)
    drawing.drawing(figure, "zh", WIDE)
    drawing.drawing(figure, "en", NARROW)
    assert len(calls) == 10
    bad = plain_figure("bad", {"mark": 1})
    drawing.drawing(bad, "en", WIDE)
    tries = len(calls)
    drawing.drawing(bad, "en", WIDE)
    assert len(calls) == tries, "what cannot be drawn is not tried again"


def test_what_is_kept_has_a_bound() -> None:
    kept = drawing._Drawings(1000)
    for number in range(100):
        kept.put(str(number), "x" * 300)
    assert [number for number in range(100) if kept.get(str(number)) is not None] == [97, 98, 99]
    kept.get("97")
    kept.put("new", "x" * 300)
    assert kept.get("97") is not None
    assert kept.get("98") is None
    kept.put("large", "x" * 2000)
    assert kept._bytes == 0
    for number in range(3000):
        kept.put(str(number), "")
    assert len(kept._texts) <= 1000
