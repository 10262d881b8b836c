"""Pictures from a child: a bounded PNG by its header, or nothing."""

from __future__ import annotations

import struct

import pytest

from grader.pictures import MOST_BYTES, MOST_PIXELS, picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(width: int = 640, height: int = 480, *, signature: bytes = SIGNATURE, kind: bytes = b"IHDR", length: int = 13,
        size: int = 2000) -> bytes:  # fmt: skip
    head = signature + struct.pack(">I4sII", length, kind, width, height) + b"\x08\x06\0\0\0" + b"\0" * 4
    return head.ljust(size, b"\0")


def test_a_picture_keeps_its_bytes_and_says_its_size() -> None:
    made = picture(png(1000, 750))
    assert made is not None
    assert (made.png, made.width, made.height) == (png(1000, 750), 1000, 750)
    assert picture(png(MOST_PIXELS, 1, size=MOST_BYTES)) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"", SIGNATURE, png()[:32], png(size=MOST_BYTES + 1), png(0, 5), png(5, 0), png(MOST_PIXELS + 1), png(2**31),
        png(5, 2**32 - 1), png(length=12), png(kind=b"IDAT"), png(signature=b"\x89PNG\n\r\x1a\n"),
        b"GIF89a" + png()[6:], b"<svg onload='alert(1)'/>".ljust(500), b"\xff\xd8\xff\xe0".ljust(500),
    ],
)  # fmt: skip
def test_whatever_else_is_dropped(data: bytes) -> None:
    assert picture(data) is None
