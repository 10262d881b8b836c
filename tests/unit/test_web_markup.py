"""Markdown, formulas and code become HTML that holds nothing but what we put there."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from grader.web import markup

PROJECT = Path(__file__).resolve().parents[2]
STATEMENTS = sorted(PROJECT.glob("reference/*/statement.*.md"))
HOSTILE = (
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "[go](javascript:alert(1))",
    "[go](JaVaScRiPt:alert(1))",
    "[go](data:text/html,<script>alert(1)</script>)",
    "[go](//evil.example/x)",
    "[go](vbscript:x)",
    "![pixel](http://evil.example/x.png)",
    "$\\text{<script>alert(1)</script>}$",
    "$\\href{javascript:alert(1)}{x}$",
    "$\\style{color:red}{x}$",
    "$$\\text{</math><img src=x onerror=alert(1)>}$$",
    "`<b>`",
    "```python\n<script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "| a |\n|---|\n| <b onclick=alert(1)>x</b> |",
    "<style>*{}</style>",
    "<a style='x' href='javascript:x'>x</a>",
)


def elements(html: str) -> ElementTree.Element:
    """The HTML as a tree; it is well-formed XML, since every element is closed."""
    return ElementTree.fromstring(f"<div>{html.replace('<br>', '<br/>').replace('<hr>', '<hr/>')}</div>")


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_survives(text: str) -> None:
    for html in (markup.statement(text), markup.sentence(text), markup.code_html(text, {1: text})):
        for element in elements(html).iter():
            assert element.tag not in {"script", "style", "img", "iframe", "b", "object"}
            assert not {"style", "onerror", "onclick"} & element.attrib.keys()
            assert re.match(r"(https?://|/(?!/)|#|$)", element.attrib.get("href", ""))


def test_pages_hold_no_style_and_no_event_handler() -> None:
    for path in sorted((PROJECT / "grader" / "web" / "templates").rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        assert re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|\|\s*safe\b", text) is None, path
        assert re.search(r"<script(?![^>]*\ssrc=)", text) is None, path


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_every_formula_of_every_sheet_is_set(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    html = markup.statement(text, "Table")
    assert html.count("<math") == len(re.findall(r"\$\$.+?\$\$|\$.+?\$", text, re.DOTALL)) >= 10
    assert "$" not in re.sub(r"<code>.*?</code>", "", html)
    assert "<h1" not in html
    assert elements(html) is not None


def test_the_sheets_are_read() -> None:
    assert len(STATEMENTS) >= 4


def test_links_lead_out_by_http_only_and_around_on_this_site() -> None:
    html = markup.statement("[a](https://example.org/x) [b](/courses) [c](#part) [d](other.html)")
    assert re.findall(r'href="([^"]*)"', html) == ["https://example.org/x", "/courses", "#part", "other.html"]


def test_a_formula_that_cannot_be_read_stays_as_it_is() -> None:
    assert markup.math(r"\left(") == "<code>\\left(</code>"


def test_function_names_stand_apart_from_their_argument() -> None:
    assert '<mi>log</mi><mspace width="0.167em"></mspace><mi>p</mi>' in markup.math(r"\log p")
    assert "mspace" not in markup.math(r"\log(p)")


def test_line_ends_between_chinese_characters_are_no_spaces() -> None:
    assert "求导\n" not in markup.statement("手写求导\n跑通整条链")
    assert "手写求导跑通" in markup.statement("手写求导\n跑通整条链")
    assert "one\ntwo" in markup.statement("one\ntwo")


def test_quoted_pieces_of_a_sentence_are_code() -> None:
    assert markup.sentence("use `a<b` & `c`\nnow") == "use <code>a&lt;b</code> &amp; <code>c</code><br>now"


def test_code_keeps_every_line_and_marks_the_asked_ones() -> None:
    text = 'def f(x):\n    """two\n    lines"""\n\n    return x < 1\n'
    html = markup.code_html(text, {5: "fails here"}, start=1)
    lines = elements(html).findall(".//span[@class='line']") + elements(html).findall(".//span[@class='line marked']")
    assert len(lines) == len(text.split("\n"))
    shown = ["".join(line[1].itertext()) for line in elements(html)[0]]
    assert shown == [*text.split("\n")[:4], "    return x < 1 fails here", ""]
    assert [line.get("id") for line in elements(html)[0]] == [f"L{n}" for n in range(1, 7)]


def test_long_sources_are_shown_without_colour() -> None:
    text = "x = 1\n" * (markup.MOST_COLOURED // 6 + 1)
    assert 'class="mi"' in markup.code_html("x = 1")
    assert 'class="mi"' not in markup.code_html(text)
