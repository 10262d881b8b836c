"""Pictures that a child sent: looked at as far as their header, never decoded."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from grader.reports import Picture

MOST_BYTES, MOST_PIXELS = 96 << 10, 4096
MOST_A_CHECK, MOST_SHOWN, MOST_A_SUBMISSION = 4, 2, 6
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">8sI4sII")  # signature; the first chunk's length and type, IHDR; width, height


def picture(png: bytes) -> Picture | None:
    """A PNG file of bounded size, or None for anything else. Browsers decode it, nothing of ours does."""
    if not _HEADER.size + 9 <= len(png) <= MOST_BYTES:  # 9: the rest of IHDR and its checksum
        return None
    signature, length, kind, width, height = _HEADER.unpack_from(png)
    if (signature, length, kind) != (_SIGNATURE, 13, b"IHDR"):
        return None
    if not (0 < width <= MOST_PIXELS and 0 < height <= MOST_PIXELS):
        return None
    return Picture(png=png, width=width, height=height)


def chosen(drawn: Sequence[tuple[bool, Sequence[Picture]]]) -> list[tuple[Picture, ...]]:
    """Of what was drawn in each check, what a report keeps: no picture twice, long trainings before single epochs.

    drawn: whether the check is a long one, and its pictures in order. The last of a check come first: they show most.
    """
    kept: list[list[Picture]] = [[] for _ in drawn]
    seen: set[bytes] = set()
    for at in sorted(range(len(drawn)), key=lambda at: not drawn[at][0]):
        for found in reversed(drawn[at][1]):
            if len(seen) < MOST_A_SUBMISSION and len(kept[at]) < MOST_SHOWN and found.png not in seen:
                seen.add(found.png)
                kept[at].insert(0, found)
    return [tuple(pictures) for pictures in kept]
