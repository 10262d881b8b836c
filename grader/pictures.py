"""Pictures that a child sent: looked at as far as their header, never decoded."""

from __future__ import annotations

import struct

from grader.reports import Picture

MOST_BYTES, MOST_PIXELS = 96 << 10, 4096
MOST_A_CHECK, MOST_A_SUBMISSION = 4, 8
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
