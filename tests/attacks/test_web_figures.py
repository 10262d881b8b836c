"""Figures and pictures as attacks: specifications that fetch, loop or swell, words as markup, names that lead away.

A specification comes from an assignment's author through a report in the database, a picture from a student's code.
"""

from __future__ import annotations

import re
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from grader import cli_figures, drawing
from grader.errors import UsageError
from grader.reports import CheckResult, Figure, Json, Picture, Report, ReportStatus, Status, Text
from tests.integration.drawn import ADD, SUBTRACT, draw, picture, plain_figure, png
from tests.integration.service import Kit, make_kit, program

from .test_web_escaping import EVIL, assert_harmless

LINE = plain_figure().spec
HTML = b"<html><script>alert(1)</script></html>"
NAMES = ("../../../../evil", "/etc/passwd", "..", "a/b", "%2e%2e%2f", "a\0b", "x" * 5000, EVIL, "")


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server of somebody else, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'[{"x": 1, "y": 1}]')

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/x", asked
    server.shutdown()
    thread.join(10)
    server.server_close()


def fetching(address: str) -> dict[str, Json]:
    """Every way to name an address that Vega-Lite knows of."""
    return {
        "data": {**LINE, "data": {"url": address}},
        "data with a format": {**LINE, "data": {"url": address, "format": {"type": "csv"}}},
        "lookup": {**LINE, "transform": [{"lookup": "x", "from": {"data": {"url": address}, "key": "x"}}]},
        "layer": {"layer": [{**LINE, "data": {"url": address}}]},
        "image": {**LINE, "mark": {"type": "image", "url": address}},
        "image by field": {
            "data": {"values": [{"u": address, "x": 1}]}, "mark": "image",
            "encoding": {"url": {"field": "u", "type": "nominal"}},
        },
        "link": {**LINE, "mark": {"type": "point", "href": address}},
        "link by value": {**LINE, "encoding": {**LINE["encoding"], "href": {"value": address}}},
        "fill": {**LINE, "mark": {"type": "bar", "fill": f"url({address})"}},
        "fill in capitals": {**LINE, "mark": {"type": "bar", "fill": f"URL({address})"}},
        "signal": {**LINE, "mark": {"type": "line", "color": {"signal": f"load('{address}')"}}},
        "locale": {**LINE, "config": {"locale": address}},
        "projection": {**LINE, "projection": {"type": "mercator"}, "data": {"url": address}},
    }  # fmt: skip


def test_a_drawing_fetches_nothing_and_leads_nowhere(listener: tuple[str, list[str]]) -> None:
    address, asked = listener
    for name, spec in fetching(address).items():
        drawn = drawing.drawing(plain_figure(name, spec), "en", drawing.WIDE)
        assert drawn is None or address.lower() not in drawn.lower(), name
    assert asked == []


def test_a_colour_or_word_by_field_is_no_reference() -> None:
    """What is in the rows reaches attributes too; those that lead somewhere are left out."""
    values = [{"x": 1, "y": 1, "c": f"url({kind})"} for kind in ("#x", "http://localhost/x", "data:image/svg+xml,x")]
    colour = {"field": "c", "type": "nominal", "scale": None}
    spec = {**LINE, "mark": "point", "data": {"values": values}, "encoding": {**LINE["encoding"], "color": colour}}
    drawn = drawing.drawing(plain_figure("colours", spec), "en", drawing.WIDE)
    assert drawn is not None
    assert "url(" not in drawn
    assert "localhost" not in drawn


def test_fifty_megabytes_are_refused_before_they_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_converted", lambda spec: pytest.fail("it was drawn"))
    spec = {**LINE, "data": {"values": [{"x": 1, "y": 1, "word": "x" * 500}] * 100_000}}
    assert drawing.drawing(plain_figure("big", spec), "en", drawing.WIDE) is None


def test_a_drawing_that_swells_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few bytes of data, many of SVG."""
    monkeypatch.setattr(drawing, "MOST_SVG_BYTES", 20_000)
    spec = {**LINE, "mark": "point", "data": {"values": [{"x": i, "y": i % 7} for i in range(500)]}}
    assert drawing.drawing(plain_figure("swollen", spec), "en", drawing.WIDE) is None


@pytest.fixture(scope="module")
def poisoned(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """A report whose figures are attacks in every text and by every name, and pictures that are something else."""
    kit = make_kit(tmp_path_factory.mktemp("figures"))
    spec = {**LINE, "usermeta": {"caption": EVIL}}
    spec["encoding"] = {**LINE["encoding"], "x": {**LINE["encoding"]["x"], "axis": {"title": EVIL}}}
    words = Text(en=EVIL, zh=EVIL)
    named = [Figure(name=name, title=words, alt=words, spec=spec) for name in NAMES]
    odd = [plain_figure(f"odd-{at}", bad) for at, bad in enumerate(ODD)]
    pictures = [
        picture(3, 2, after=HTML),
        Picture(png=HTML, width=10, height=10),
        Picture(png=png(), width=0, height=10**9),
        Picture(png=b"", width=1, height=1),
        Picture(png=b"\x89PNG\r\n\x1a\n" + HTML, width=-1, height=5),
    ]
    draw(kit, {ADD: named, SUBTRACT: odd}, {ADD: pictures})
    kit.hand_in("ada", program(fail=[ADD, SUBTRACT]))
    kit.grade()
    yield kit
    kit.close()


ODD: list[Json] = [
    None, True, 3, "line", [], {}, {"mark": 1}, {"usermeta": 3, "mark": "line"}, {"usermeta": {"aspect": "x"}},
    {"usermeta": {"aspect": 10**400, "caption": {"en": 1, "zh": []}}}, {"facet": 3, "spec": 4, "columns": "x"},
    {"facet": {"field": ["a"]}, "data": {"values": 3}, "spec": {}}, {"layer": 3}, {"layer": [3, None]},
    {"layer": [{"encoding": 3}]}, {"mark": "rect", "encoding": {"x": 3, "y": {"type": "nominal", "field": {}}}},
    {**LINE, "data": {"values": [{"x": float("nan"), "y": float("inf")}]}},
    {**LINE, "mark": {"type": "text", "text": EVIL}},
    {"en": LINE, "zh": 5}, {**LINE, "usermeta": {"aspect": 1e-9}}, {**LINE, "usermeta": {"aspect": float("nan")}},
    {**LINE, "encoding": {"y": {"type": "nominal", "field": {"repeat": "row"}}}},
    {**LINE, "encoding": {"y": {"type": ["nominal"], "field": ["x"]}}},
    {"facet": {"field": {"a": 1}}, "data": LINE["data"], "spec": LINE, "columns": -3},
]  # fmt: skip


def test_the_page_stays_and_no_word_becomes_an_element(poisoned: Kit) -> None:
    for login in ("ada", "tina"):
        with poisoned.browser(login) as client:
            for lang in ("en", "zh"):
                client.cookies.set("lang", lang)
                page = client.get("/submissions/1")
                assert page.status_code == 200
                assert_harmless(page.text, "the page")
                assert "&lt;xss onload" in page.text
                ids = re.findall(r' id="([^"]*)"', page.text)
                assert len(ids) == len(set(ids))
    with poisoned.client("ada") as rest:
        assert rest.get("/api/v1/submissions/1/report").status_code == 200


def test_every_resource_is_an_image_or_not_there(poisoned: Kit) -> None:
    with poisoned.browser("ada") as ada, poisoned.client("ada") as rest:
        for check, names in ((ADD, NAMES), (SUBTRACT, tuple(f"odd-{at}" for at in range(len(ODD))))):
            for name in names:
                path = f"submissions/1/figures/{check}/{quote(name, safe='')}.svg"
                for answer in (ada.get(f"/{path}"), rest.get(f"/api/v1/{path}")):
                    assert answer.status_code in (200, 404, 422), name
                    if answer.status_code == 200:
                        assert answer.headers["content-type"].startswith("image/svg+xml")
                        assert answer.headers["x-content-type-options"] == "nosniff"
                        tags = {
                            element.tag.rpartition("}")[2] for element in ElementTree.fromstring(answer.text).iter()
                        }
                        assert tags <= drawing.ELEMENTS | {"style", "defs", "linearGradient", "stop"}
        for number in range(8):
            for answer in (
                ada.get(f"/submissions/1/pictures/{ADD}/{number}.png"),
                rest.get(f"/api/v1/submissions/1/pictures/{ADD}/{number}.png"),
            ):
                assert (answer.status_code == 200) == (number == 1), number
                if number == 1:  # what hangs on behind a picture is never read as anything else
                    assert answer.headers["content-type"] == "image/png"
                    assert answer.headers["x-content-type-options"] == "nosniff"
                    assert answer.headers["content-disposition"].startswith("attachment")
                    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_names_lead_to_no_file_outside_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    text = Text(en="t", zh="t")
    checks = tuple(
        CheckResult(
            id=name, part="p", title=text, status=Status.FAILED, points=0, max_points=1,
            figures=tuple(plain_figure(other) for other in NAMES[:4]), pictures=(picture(),),
        )
        for name in NAMES[:3]
    )  # fmt: skip
    report = Report(
        assignment="a", assignment_version="v", status=ReportStatus.GRADED, score=0, max_score=1, checks=checks,
        file="../../../hw.py",
    )  # fmt: skip
    cli_figures.make_folder(folder)
    cli_figures.write([report, report], folder, "en")
    written = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert written
    assert all(path.parent.parent == folder and path.resolve() == path for path in written)
    assert {path.suffix for path in written} == {".svg", ".png"}


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling link"])
def test_nothing_of_somebody_else_is_written_over(tmp_path: Path, kind: str) -> None:
    target, precious = tmp_path / "f" / "c-loss.svg", tmp_path / "precious"
    target.parent.mkdir()
    if kind == "file":
        target.write_text("my notes")
    elif kind == "folder":
        target.mkdir()
    else:
        if kind == "link":
            precious.write_text("<svg xmlns= mine")
        target.symlink_to(precious)
    text = Text(en="t", zh="t")
    check = CheckResult(
        id="c", part="p", title=text, status=Status.FAILED, points=0, max_points=1, figures=(plain_figure(),)
    )
    report = Report(
        assignment="a", assignment_version="v", status=ReportStatus.GRADED, score=0, max_score=1, checks=(check,)
    )
    with pytest.raises(UsageError, match="is no figure"):
        cli_figures.write([report], target.parent, "en")
    assert target.is_symlink() == ("link" in kind)
    if kind == "file":
        assert target.read_text() == "my notes"
    if kind == "link":
        assert precious.read_text() == "<svg xmlns= mine"
    if kind == "dangling link":
        assert not precious.exists()
