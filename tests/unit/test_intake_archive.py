"""Archives made to escape, to explode or to confuse are refused by name; the rest is read in memory."""

from __future__ import annotations

import io
import stat
import struct
import time
import tracemalloc
import zipfile

import pytest

from grader.errors import NotGradable
from grader.intake.archive import unpack
from grader.intake.source import DEFAULT_LIMITS, UploadLimits
from grader.reports import Text


def info(name: str, mode: int = 0) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo("placeholder")
    made.filename = name
    made.orig_filename = name
    made.external_attr = mode << 16
    made.compress_type = zipfile.ZIP_DEFLATED
    return made


@pytest.mark.filterwarnings("ignore:Duplicate name")
def build(*entries: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, data in entries:
            archive.writestr(entry if isinstance(entry, zipfile.ZipInfo) else info(entry), data)
    return out.getvalue()


def refusal(data: bytes, limits: UploadLimits = DEFAULT_LIMITS) -> str:
    with pytest.raises(NotGradable) as caught:
        unpack("hw.zip", data, limits)
    assert caught.value.text.zh.startswith("无法读取 hw.zip：")
    return caught.value.text.en


def test_code_is_read_and_the_rest_is_listed_once() -> None:
    data = build(
        ("hw/a.py", b"a=1"),
        ("hw/N.IPYNB", b"{}"),
        ("hw/plot.png", b"x"),
        ("hw/.DS_Store", b"x"),
        ("__MACOSX/hw/._a.py", b"x"),
        ("hw/.ipynb_checkpoints/a.py", b"old"),
        ("hw/__pycache__/a.cpython-311.pyc", b"x"),
        ("hw/", b""),
    )
    entries, left_out = unpack("hw.zip", data, DEFAULT_LIMITS)
    assert [(e.path, e.data) for e in entries] == [("hw/a.py", b"a=1"), ("hw/N.IPYNB", b"{}")]
    (entry,) = left_out
    assert entry.where == Text(en="hw.zip", zh="hw.zip")
    assert "hw/plot.png" in entry.what
    assert "hw/.DS_Store" in entry.what


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../x.py", "../x.py has a name that points outside"),
        ("a/../../x.py", "points outside"),
        ("/etc/x.py", "points outside"),
        ("C:/x.py", "points outside"),
        ("c:x.py", "points outside"),
        ("a\\x.py", "points outside"),
        ("a/x.zip", "a/x.zip is an archive inside"),
        ("x.tar.gz", "archive inside"),
        ("X.RAR", "archive inside"),
    ],
)
def test_names_that_no_honest_archive_holds(name: str, says: str) -> None:
    assert says in refusal(build(("ok.py", b"a=1"), (name, b"a=1")))


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices(mode: int) -> None:
    assert "x.py is a link or a device" in refusal(build((info("x.py", mode), b"/etc/passwd")))


def test_ordinary_modes_are_fine() -> None:
    entries, _ = unpack("hw.zip", build((info("x.py", stat.S_IFREG | 0o644), b"a=1")), DEFAULT_LIMITS)
    assert entries[0].data == b"a=1"


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ("a.py", "a.py", "is there twice"),
        ("a.py", "A.py", "only in capital letters"),
        ("Straße.py", "STRASSE.py", "only in capital letters"),
        ("é.py", "e\u0301.py", "only in capital letters"),
    ],
)
def test_clashes(first: str, second: str, says: str) -> None:
    assert says in refusal(build((first, b"1"), (second, b"2")))


def test_encrypted_entries() -> None:
    data = bytearray(build(("x.py", b"a=1")))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark) + offset
        data[at : at + 2] = struct.pack("<H", 1)
    assert "x.py is encrypted" in refusal(bytes(data))


def test_names_written_on_chinese_windows() -> None:
    plain = build(("zz.py", b"a=1"))
    data = plain.replace(b"zz.py", "作".encode("gbk") + b".py")
    entries, _ = unpack("hw.zip", data, DEFAULT_LIMITS)
    assert entries[0].path == "作.py"


def test_names_with_a_nul() -> None:
    assert "points outside" in refusal(build(("aXb.py", b"a=1")).replace(b"aXb.py", b"a\0b.py"))


def test_bombs_are_stopped_while_reading() -> None:
    bomb = build(("bomb.py", b"0" * (64 << 20)))
    tracemalloc.start()
    began = time.process_time()
    assert "bomb.py is too large" in refusal(bomb)
    assert time.process_time() - began < 2
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


def test_a_lying_size_does_not_help() -> None:
    data = bytearray(build(("bomb.py", b"0" * (30 << 20))))
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 10)
    with pytest.raises(NotGradable):
        unpack("hw.zip", bytes(data), DEFAULT_LIMITS)


def test_all_entries_share_one_allowance() -> None:
    limits = UploadLimits(zip_bytes=1000)
    data = build(*((f"m{i}.py", b"a" * 400) for i in range(3)))
    assert "m2.py is too large" in refusal(data, limits)
    assert len(unpack("hw.zip", data, UploadLimits(zip_bytes=1200))[0]) == 3


def test_what_is_not_code_is_not_unpacked() -> None:
    entries, _ = unpack("hw.zip", build(("big.png", b"0" * (64 << 20)), ("a.py", b"a=1")), DEFAULT_LIMITS)
    assert [e.path for e in entries] == ["a.py"]


def test_the_number_of_entries() -> None:
    exact = build(*((f"m{i}.txt", b"") for i in range(200)))
    assert unpack("hw.zip", exact, DEFAULT_LIMITS)[0] == []
    assert "more than 200 entries" in refusal(build(*((f"m{i}.txt", b"") for i in range(201))))


@pytest.mark.parametrize("cut", [1, 10, 30, 60])
def test_damaged_archives(cut: int) -> None:
    assert "damaged" in refusal(build(("a.py", b"print(1)" * 50))[:-cut])


def test_flipped_content() -> None:
    data = bytearray(build(("a.py", bytes(range(256)) * 20)))
    data[60] ^= 0xFF
    assert "damaged" in refusal(bytes(data))


def test_other_compression() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.py", b"a=1" * 100)
    assert "a.py is packed in a way" in refusal(out.getvalue())
