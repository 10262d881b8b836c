"""Pictures from a child: a bounded PNG by its header, or nothing."""

from __future__ import annotations

import struct

import pytest

from grader.pictures import MOST_A_SUBMISSION, MOST_BYTES, MOST_PIXELS, MOST_SHOWN, chosen, picture
from grader.reports import Picture

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


def test_a_report_keeps_the_last_of_long_trainings_first_and_none_twice() -> None:
    first, second, third = (Picture(png=png(n, 1), width=n, height=1) for n in (1, 2, 3))
    single, long = [first, second, second], [second, third, first]
    assert chosen([(False, single), (True, long)]) == [(second,), (third, first)]
    assert chosen([(False, ()), (True, ())]) == [(), ()]
    many = [Picture(png=png(n + 1, 2), width=n + 1, height=2) for n in range(40)]
    kept = chosen([(False, many[at : at + 4]) for at in range(0, 40, 4)])
    assert sum(map(len, kept)) == MOST_A_SUBMISSION
    assert max(map(len, kept)) == MOST_SHOWN
