"""What an upload is once it has been read: flat programs whose every line knows where it came from.

Records only. Nothing here parses, and nothing here runs a line of the upload.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from grader.reports import LeftOut, Text


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadLimits:
    """How much of an upload is read. Everything above is refused with a message, never cut silently."""

    upload_bytes: int = 5 << 20  # real notebooks reach 2.2 MB because plots are stored in them
    code_bytes: int = 1 << 20
    code_lines: int = 20_000
    code_tokens: int = 40_000  # 3,000 lines of dense code; homework has a few thousand, and time grows with it
    json_containers: int = 500_000  # objects and lists in a notebook, outputs included
    zip_entries: int = 200
    zip_bytes: int = 20 << 20
    zip_ratio: int = 100


DEFAULT_LIMITS: Final = UploadLimits()
_FULL_WIDTH: Final = "，。；：、（）"  # needs no space beside it


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where one line of the flat program came from.

    `cell` counts code cells from 1; it is None for a script. `line` counts from 1 inside that cell or script.
    """

    file: str
    cell: int | None
    line: int
    zipped: bool = False

    def say(self) -> Text:
        """The place in words, with the file in front when the upload holds several."""
        if self.cell is None:
            place = Text(en=f"line {self.line}", zh=f"第 {self.line} 行")
        else:
            place = Text(
                en=f"code cell {self.cell}, line {self.line}", zh=f"第 {self.cell} 个代码单元第 {self.line} 行"
            )
        return Text(en=f"{self.file}, {place.en}", zh=f"{self.file} {place.zh}") if self.zipped else place


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenCell:
    """A code cell, or a whole script, that is not valid Python. Its lines are blank in the flat program."""

    origin: Origin  # the line Python complains about
    message: Text
    text: str  # the cell as the student wrote it


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One file as a flat program: `text` split at LF has exactly one entry in `origins` per line."""

    name: str
    text: str
    origins: tuple[Origin, ...]
    left_out: tuple[LeftOut, ...] = ()
    broken: tuple[BrokenCell, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """An upload: the main program, and from a zip the scripts beside it by the name they are imported as."""

    file: str
    digest: str  # sha256 of the uploaded bytes, hexadecimal
    source: Source
    modules: Mapping[str, Source] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[Text, ...] = ()


def printable(text: str, limit: int = 100) -> str:
    """One line of untrusted text for people: no control, format or surrogate characters, shortened."""
    kept = "".join(" " if c == "\t" else c for c in text[: 4 * limit] if c == "\t" or unicodedata.category(c)[0] != "C")
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def display_name(path: str) -> str:
    """The last component of a path as shown to people."""
    return printable(path.replace("\\", "/").rstrip("/").rpartition("/")[2]).strip() or "upload"


def place_of(first: Origin, last: Origin) -> Text:
    """A stretch of the program in a few words: "code cell 3, lines 1-4", "code cells 2-5", "lines 10-12"."""
    if (first.cell, first.line) == (last.cell, last.line):
        return first.say()
    lines = Text(en=f"lines {first.line}-{last.line}", zh=f"第 {first.line}–{last.line} 行")
    if first.cell is None or last.cell is None:
        place = lines
    elif first.cell == last.cell:
        place = Text(en=f"code cell {first.cell}, {lines.en}", zh=f"第 {first.cell} 个代码单元{lines.zh}")
    else:
        place = Text(en=f"code cells {first.cell}-{last.cell}", zh=f"第 {first.cell}–{last.cell} 个代码单元")
    return Text(en=f"{first.file}, {place.en}", zh=f"{first.file} {place.zh}") if first.zipped else place


def listed(words: Sequence[str], limit: int = 12) -> Text:
    """Names as a list in a sentence, cut when there are many."""
    shown = [printable(w, 60) for w in words[:limit]]
    rest = len(words) - len(shown)
    more = Text(en=f" and {rest} more", zh=f"等 {len(words)} 个") if rest > 0 else Text(en="", zh="")
    gap = " " if rest > 0 and shown and shown[-1][-1:] not in _FULL_WIDTH else ""
    return Text(en=", ".join(shown) + more.en, zh="、".join(shown) + gap + more.zh)
