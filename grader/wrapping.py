"""Text broken into lines of so many columns, Chinese and English alike, for what cannot wrap by itself."""

from __future__ import annotations

import unicodedata


def display_width(text: str) -> int:
    """Columns of a text: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def wrap(text: str, columns: int) -> list[str]:
    """Lines of at most so many columns. Breaks at spaces and between Chinese characters; cuts what has neither."""
    lines, line = [], ""
    for piece in _pieces(text, columns):
        if line and display_width((line + piece).rstrip()) > columns:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def balanced(text: str, columns: int) -> list[str]:
    """As few lines as `wrap` needs, about equally long, so that no single word is left for the last."""
    lines = wrap(text, columns)
    while columns > 8 and len(lines) > 1:
        narrower = wrap(text, columns - 1)
        if len(narrower) > len(lines):
            break
        lines, columns = narrower, columns - 1
    return lines


def _pieces(text: str, columns: int) -> list[str]:
    """What must stay together: words with the space after them, single Chinese characters, closing marks stuck on."""
    pieces: list[str] = []
    fresh = True
    for char in text:
        wide = unicodedata.east_asian_width(char) in "WF"
        closing = unicodedata.category(char) in ("Po", "Pe", "Pf") and wide
        long = bool(pieces) and display_width(pieces[-1]) >= columns
        if closing and pieces and not long:
            pieces[-1] += char
        elif wide or fresh or long or not pieces:
            pieces.append(char)
        else:
            pieces[-1] += char
        fresh = wide or char == " " or (char == "_" and long)
    return pieces
