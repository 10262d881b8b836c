"""Markdown, formulas and source code as HTML that a strict content policy lets through.

Three rules hold for everything made here: text is escaped, no element carries a style, and no address leads anywhere
but to http, https, or a place on this site.
"""

from __future__ import annotations

import functools
import html
import itertools
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from latex2mathml.converter import convert_to_element
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments.lexer import Lexer  # type: ignore[import-untyped]
from pygments.lexers.python import PythonLexer  # type: ignore[import-untyped]
from pygments.lexers.shell import BashLexer  # type: ignore[import-untyped]
from pygments.token import STANDARD_TYPES  # type: ignore[import-untyped]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MOST_COLOURED: Final = 200_000  # characters of source; beyond that colour costs more time than it is worth
_ELEMENTS: Final = _words(
    "math mrow mi mn mo mtext mspace mfrac msqrt mroot msub msup msubsup munder mover munderover mtable mtr mtd "
    "mstyle mpadded mphantom menclose semantics"
)
_ATTRIBUTES: Final = _words(
    "display stretchy fence form minsize maxsize width columnalign mathvariant accent movablelimits displaystyle "
    "scriptlevel linethickness separator notation"
)
_LEXERS: Final[Mapping[str, type[Lexer]]] = {"python": PythonLexer, "py": PythonLexer, "sh": BashLexer, "": PythonLexer}


# Markdown --------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def statement(text: str, label: str = "") -> Markup:
    """A sheet's Markdown with $formulas$. Its title (the first heading of level 1) is left to the page.

    label: name of its tables for those who cannot see that they scroll.
    """
    tokens = _parser().parse(text)
    if len(tokens) > 2 and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        tokens = tokens[3:]
    return Markup(_parser().renderer.render(tokens, _parser().options, {"label": label}))


class _Markdown(MarkdownIt):
    """Asks `safe_address` about every link."""

    def validateLink(self, url: str) -> bool:
        return safe_address(url)


@functools.cache
def _parser() -> MarkdownIt:
    made = _Markdown("commonmark", {"html": False, "highlight": _highlight}).enable("table").disable("image")
    made.use(dollarmath_plugin, allow_labels=False, double_inline=True, renderer=_dollars)
    made.add_render_rule("table_open", _table_open)
    made.add_render_rule("table_close", lambda *_: "</table></div>")
    made.add_render_rule("math_block", _formula_block)
    made.add_render_rule("softbreak", _softbreak)
    return made


def _table_open(renderer: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return f'<div class="table-box" role="group" tabindex="0" aria-label="{escape(env["label"])}"><table class="table">'


def _softbreak(renderer: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    """A line end in the source is a space, but not beside a Chinese character."""
    before = tokens[at - 1].content[-1:] if at else ""
    after = tokens[at + 1].content[:1] if at + 1 < len(tokens) else ""
    return "" if _is_wide(before) or _is_wide(after) else "\n"


def _is_wide(character: str) -> bool:
    return bool(character) and unicodedata.east_asian_width(character) in ("W", "F")


def _formula_block(renderer: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return f'<div class="formula" tabindex="0">{math(tokens[at].content, display=True)}</div>\n'


def safe_address(address: str) -> bool:
    """Whether a link may lead there: http, https, or a path or fragment on this site."""
    parts = urlsplit(address.strip())
    if parts.scheme:
        return parts.scheme in ("http", "https") and bool(parts.netloc)
    return not address.strip().startswith(("//", "\\", "/\\"))


def _highlight(code: str, language: str, _: str) -> str:
    return f'<pre tabindex="0"><code>{_coloured(code, language)}</code></pre>'


def _dollars(formula: str, options: Mapping[str, Any]) -> str:
    return str(math(formula, display=bool(options.get("display_mode"))))


# Formulas --------------------------------------------------------------------------------------------------------


def math(formula: str, *, display: bool = False) -> Markup:
    """LaTeX as MathML; a formula that cannot be read stays as its source."""
    try:
        element = convert_to_element(formula, display="block" if display else "inline")
    except Exception:  # the converter raises whatever it stumbles over; the source still tells what is meant
        return Markup("<code>{}</code>").format(formula)
    return Markup(_element(element))


def _element(element: ElementTree.Element) -> str:
    """An element with the attributes and children that formulas need, its text escaped exactly once."""
    tag = element.tag.rpartition("}")[2]
    inner = escape(html.unescape(element.text or ""))
    for child, after in itertools.zip_longest(element, element[1:]):
        inner += Markup(_element(child)) + escape(html.unescape(child.tail or ""))
        if _is_function(child) and after is not None and after.tag != "mo":
            inner += Markup('<mspace width="0.167em"></mspace>')
    if tag not in _ELEMENTS:
        return str(inner)
    attributes = "".join(
        f' {name}="{escape(html.unescape(value))}"' for name, value in element.attrib.items() if name in _ATTRIBUTES
    )
    return f"<{tag}{attributes}>{inner}</{tag}>"


def _is_function(element: ElementTree.Element) -> bool:
    """Whether it is a name such as log, which stands apart from what it is applied to."""
    return element.tag == "mi" and len(element.text or "") > 1 and (element.text or "").isalpha()


# Sentences and code ----------------------------------------------------------------------------------------------


def sentence(text: str) -> Markup:
    """Plain text of a report as HTML: `quoted` pieces as code, line breaks kept."""
    pieces = re.split(r"`([^`\n]+)`", text)
    said = [Markup("<code>{}</code>").format(piece) if at % 2 else escape(piece) for at, piece in enumerate(pieces)]
    return Markup("").join(said).replace("\n", Markup("<br>"))


def _tokens(code: str, language: str) -> list[tuple[str, str]]:
    """Pieces of source and the class of each."""
    lexer = _LEXERS.get(language.strip().lower())
    if lexer is None or len(code) > MOST_COLOURED:
        return [("", code)]
    found = lexer(stripnl=False, ensurenl=False).get_tokens(code)
    return [(STANDARD_TYPES.get(kind, ""), text) for kind, text in found]


def _coloured(code: str, language: str) -> Markup:
    return Markup("").join(_piece(kind, text) for kind, text in _tokens(code, language))


def _piece(kind: str, text: str) -> Markup:
    return Markup('<span class="{}">{}</span>').format(kind, text) if kind else escape(text)


@functools.lru_cache(maxsize=32)
def _lines(text: str) -> tuple[Markup, ...]:
    """Python source line by line, coloured; what spans lines is coloured on each of them."""
    lines: list[list[Markup]] = [[]]
    for kind, piece in _tokens(text.replace("\r\n", "\n").replace("\r", "\n"), "python"):
        first, *others = piece.split("\n")
        if first:
            lines[-1].append(_piece(kind, first))
        for other in others:
            lines.append([_piece(kind, other)] if other else [])
    return tuple(Markup("").join(line) for line in lines)


def code_html(text: str, marked: Mapping[int, str] | None = None, *, start: int = 1, prefix: str = "L") -> Markup:
    """Python source with line numbers, to stand in <pre class="source">.

    marked: line number -> why it is marked, in words. start: number of the first line. prefix: of the ids of the lines.
    """
    marked = marked or {}
    lines = []
    for number, line in enumerate(_lines(text), start):
        why = marked.get(number)
        note = Markup(' <span class="line-why">{}</span>').format(why) if why else Markup("")
        form = Markup(
            '<span class="line{}" id="{}{}"><span class="line-no">{}</span><span class="line-text">{}{}</span></span>'
        )
        lines.append(form.format(" marked" if why is not None else "", prefix, number, number, line, note))
    return Markup("<code>") + Markup("\n").join(lines) + Markup("</code>")
