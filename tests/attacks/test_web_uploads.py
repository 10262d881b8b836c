"""Files made to hurt, sent through the real upload routes: bounded time and memory, and nothing is unpacked."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from grader.service import submitting
from grader.store.models import Submission
from grader.web import guards
from tests.integration.service import SUMS, Kit

from .visits import API_SHEET, SHEET, get, raw, resident_mib, send, session_cookie, status_of

HONEST = b"def add(a, b):\n    return a + b\n\n\ndef subtract(a, b):\n    return a - b\n"


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], compress: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compress) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


def notebook(*cells: dict[str, Any]) -> bytes:
    return json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def code(source: Any, **more: Any) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source, **more}


def look(kit: Kit, client: httpx.Client, name: str, data: bytes) -> httpx.Response:
    return send(kit, client, f"{SHEET}/look", files={"file": (name, data)})


def overlapping() -> bytes:
    """A zip whose directory names the same 8 MiB of compressed zeros a thousand times."""
    data = zipped(("solution.py", b"\0" * (8 << 20)))
    at = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    entry, tail = data[at:end], bytearray(data[end:])
    tail[8:12] = (1000).to_bytes(2, "little") * 2
    tail[12:16] = (1000 * len(entry)).to_bytes(4, "little")
    return data[:at] + entry * 1000 + bytes(tail)


BOMBS: dict[str, Callable[[], bytes]] = {
    "flat": lambda: zipped(("solution.py", b"\0" * (300 << 20))),
    "nested": lambda: zipped(("a.zip", zipped(("b.zip", zipped(("solution.py", b"\0" * (50 << 20))))))),
    "overlapping": overlapping,
    "65535 entries": lambda: zipped(*((f"{n}.py", b"") for n in range(65_535)), compress=zipfile.ZIP_STORED),
    "long names": lambda: zipped(*((f"{n}" + "x" * 60_000 + ".py", b"") for n in range(100))),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_zip_bomb_is_refused_in_bounded_time_and_memory(shared_kit: Kit, kind: str) -> None:
    """An archive is counted as it is unpacked: no student takes the server's memory, disk or minutes with a file."""
    bomb = BOMBS[kind]()[: 10 << 20]
    with shared_kit.browser("ada") as ada:
        look(shared_kit, ada, "solution.py", HONEST)
        before, started = resident_mib(), time.monotonic()
        answer = look(shared_kit, ada, "work.zip", bomb)
        took = time.monotonic() - started
    assert answer.status_code == 200
    assert answer.json()["kind"] == "bad", answer.text
    assert took < 4
    assert resident_mib() - before < 150


def special(name: str, mode: int) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.create_system, made.external_attr = 3, mode << 16
    return made


SLIPS: dict[str, bytes] = {
    "parent": zipped(("../../escaped.py", HONEST)),
    "absolute": zipped(("/tmp/escaped.py", HONEST)),
    "drive": zipped(("C:\\escaped.py", HONEST)),
    "backslashes": zipped(("..\\..\\escaped.py", HONEST)),
    "symlink": zipped((special("solution.py", 0o120777), b"/etc/passwd")),
    "device": zipped((special("solution.py", 0o060666), b"")),
    "shadows": zipped(
        ("numpy.py", b"raise SystemExit"), ("sitecustomize.py", b"x"), ("a.pth", b"import os"), ("solution.py", HONEST)
    ),
    "case": zipped(("Solution.py", HONEST), ("solution.py", HONEST)),
    "nul": zipped(("sol\0ution.py", HONEST)),
    "newlines and colours": zipped(("\x1b[31m\r\nscore=100.py", HONEST)),
}


@pytest.mark.parametrize("kind", SLIPS)
def test_names_in_an_archive_reach_no_disk(kit: Kit, kind: str, tmp_path: Path) -> None:
    """What an archive calls its entries is never a path: nothing is written, whatever the verdict, and all goes on."""
    before = sorted(path for path in Path("/tmp").glob("*escaped*"))
    with kit.browser("ada") as ada:
        seen = look(kit, ada, "work.zip", SLIPS[kind])
        taken = send(kit, ada, SHEET, files={"file": ("work.zip", SLIPS[kind])})
        kit.grade()
        page = ada.get(taken.headers["location"])
    assert seen.status_code == 200
    assert "root:" not in seen.text
    assert (taken.status_code, page.status_code) == (303, 200)
    assert sorted(path for path in Path("/tmp").glob("*escaped*")) == before
    assert not list(tmp_path.rglob("*escaped*"))


NOTEBOOKS: dict[str, bytes] = {
    "no json": b"{{{",
    "empty object": b"{}",
    "a list": b"[]",
    "null": b"null",
    "deep": b"\n" + b"[" * 500_000,
    "deep and closed": b'\n{"cells":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "large integers": b'{"cells": [], "nbformat": ' + b"9" * 100_000 + b"}",
    "source is a number": notebook(code(7)),
    "source is a tree": notebook(code([["x"], {"y": 1}])),
    "cells are numbers": b'{"cells": [1, 2, null], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
    "half a surrogate": b'{"cells": [{"cell_type": "code", "source": "x = \\"\\ud800\\""}], "nbformat": 4}',
    "brackets": notebook(code("(" * 100_000)),
    "deep expression": notebook(code("-" * 200_000 + "1")),
    "long chain": notebook(code("x" + ".a" * 100_000)),
    "magics": notebook(code("%%bash\nrm -rf /"), code("!rm -rf /"), code("%run evil.py"), code("%load_ext evil")),
    "a million cells": b'{"cells": [' + b",".join([b'{"cell_type":"code","source":""}'] * 100_000) + b"]}",
    "outputs": notebook(
        code(
            HONEST.decode(),
            outputs=[{"output_type": "display_data", "data": {"text/html": "<script>alert()</script>"}}],
        )
    ),
}


@pytest.mark.parametrize("kind", NOTEBOOKS)
def test_a_hostile_notebook_is_answered_on_every_page(kit: Kit, kind: str) -> None:
    """A notebook is data: whatever it holds, looking at it, handing it in, comparing and staff's view all answer soon,
    and neither its outputs nor its commands get anywhere."""
    data = NOTEBOOKS[kind]
    with kit.browser("ada") as ada, kit.browser("tina") as tina:
        started = time.monotonic()
        answers = [look(kit, ada, "work.ipynb", data)]
        send(kit, ada, SHEET, files={"file": ("first.py", HONEST)})
        where = send(kit, ada, SHEET, files={"file": ("work.ipynb", data)}).headers["location"]
        kit.grade()
        answers += [ada.get(where), ada.get(f"{where}/changes"), tina.get(where)]
        took = time.monotonic() - started
    assert [answer.status_code for answer in answers] == [200] * 4
    assert not any("<script>alert" in answer.text for answer in answers)
    assert took < 8


SOURCES: dict[str, bytes] = {
    "brackets": b"(" * 1_000_000,
    "one line": b"x = " + b"1 + " * 1_000_000 + b"1",
    "deep": b"\n".join(b" " * n + b"if 1:" for n in range(300)),
    "quotes": b"'" * 2_000_001,
    "f strings": b"f'" + b"{f'" * 10_000,
    "backslashes": b"\\\n" * 500_000,
    "decorators": b"@a\n" * 200_000 + b"def add(a, b): pass",
    "nul": b"x = 1\0",
    "not utf-8": b"\xff\xfe\x00",
    "form feeds": b"\f" * 1_000_000 + HONEST,
    "numbers": b"x = " + b"9" * 4_000_000,
    "comments": b"#" * 4_000_000,
    "lines": b"x = 1\n" * 700_000,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_source_that_parsers_fear_is_answered_on_every_page(kit: Kit, kind: str) -> None:
    """No 5 MiB of text makes the parser, the colouring or the comparison of the pages run away."""
    with kit.browser("ada") as ada, kit.browser("tina") as tina:
        send(kit, ada, SHEET, files={"file": ("first.py", HONEST)})
        started = time.monotonic()
        answers = [look(kit, ada, "a.py", SOURCES[kind])]
        where = send(kit, ada, SHEET, files={"file": ("a.py", SOURCES[kind])}).headers["location"]
        kit.grade()
        answers += [ada.get(where), ada.get(f"{where}/changes"), tina.get(where)]
        took = time.monotonic() - started
    assert [answer.status_code for answer in answers] == [200] * 4
    assert max(len(answer.content) for answer in answers) < 100 << 20
    assert took < 10


NAMES = (
    "../../../etc/passwd.py",
    "..\\..\\win.py",
    "a\0b.py",
    "\x1b[2J\x1b]0;owned\x07.py",
    "score=100.py",
    "\u202eyp.exe.py",
    "x" * 5000 + ".py",
    "=HYPERLINK(1).py",
    "<img src=x onerror=alert(1)>.py",
    '"; filename="b.exe.py',
    "陈晨作业.py",
    ".py",
    "a.py ",
    "%2e%2e%2f.py",
    "{{7*7}}.py",
    "CON.py",
    "\ufeff.py",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_files_name_is_a_name_and_nothing_else(kit: Kit, name: str) -> None:
    """A name is stored without its folders, shown escaped, and comes back as one header of a download."""
    with kit.browser("ada") as ada, kit.browser("tina") as tina:
        taken = send(kit, ada, SHEET, files={"file": (name, HONEST)})
        if taken.status_code == 422:
            return
        where = taken.headers["location"]
        kit.grade()
        pages = [ada.get(where), tina.get(where), ada.get(SHEET), ada.get(f"{where}/changes")]
        download = ada.get(f"{where}/file")
        number = int(where.rpartition("/")[2])
    stored = kit.submission(number).file_name
    assert len(stored) <= 255
    assert "/" not in stored.replace("%2f", "")
    assert [page.status_code for page in pages] == [200] * 4
    assert not any("<img src=x" in page.text for page in pages)
    assert download.headers["content-type"] == "application/octet-stream"
    assert download.headers["content-disposition"].startswith("attachment")
    assert download.headers["content-disposition"].isascii()
    assert download.content == HONEST


# The body of a request ----------------------------------------------------------------------------------------------


def test_five_gigabytes_are_refused_before_a_byte_of_them_is_read(shared_kit: Kit) -> None:
    """Size is checked where the request begins: an announced 5 GB gets 413 at once."""
    for path in (SHEET.encode(), f"{SHEET}/look".encode(), b"/sign-in", b"/courses/dl/roster"):
        started = time.monotonic()
        answer = get(
            shared_kit,
            path,
            b"Content-Type: multipart/form-data; boundary=B",
            b"Content-Length: 5368709120",
            session_cookie(shared_kit, "ada"),
            method=b"POST",
        )
        assert status_of(answer) == 413
        assert time.monotonic() - started < 3


def test_a_body_without_a_length_is_counted_as_it_arrives(shared_kit: Kit) -> None:
    """Chunks without an end are cut off at the largest upload, with memory flat."""
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
        for _ in range(2000):
            sent += 1 << 20
            yield b"x" * (1 << 20)

    before = resident_mib()
    with shared_kit.browser("ada") as ada:
        try:
            answer = ada.post(SHEET, content=endless(), headers={"Content-Type": "multipart/form-data; boundary=B"})
        except (httpx.WriteError, httpx.ReadError):  # the server had answered and gone while we were still sending
            pass
        else:
            assert answer.status_code == 413
    assert sent < 200 << 20
    assert resident_mib() - before < 150


def test_a_body_that_takes_too_long_is_given_up(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte now and then does not hold a place for ever: 408 when the time of a body is over."""
    monkeypatch.setattr(guards, "_BODY_S", 0.5)
    for path in (SHEET.encode(), b"/sign-in"):
        head = b"POST " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 1000\r\n"
        kind = b"Content-Type: application/x-www-form-urlencoded\r\n" + session_cookie(kit, "ada") + b"\r\n\r\n"
        started = time.monotonic()
        answer = raw(kit, head + kind + b"csrf=")
        assert status_of(answer) == 408
        assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    "part",
    [
        b'Content-Disposition: form-data; name="x"\r\n\r\n\r\n',
        b'Content-Disposition: form-data; name="file"; filename="a.py"\r\n\r\nx\r\n',
        b"X: " + b"y" * 1000 + b"\r\n\r\n\r\n",
    ],
    ids=["fields", "files", "headers"],
)
def test_a_million_parts_are_not_read(shared_kit: Kit, part: bytes) -> None:
    """A form has few fields and one file; whoever sends more is refused soon."""
    body = (b"--B\r\n" + part) * (9_000_000 // (len(part) + 5)) + b"--B--\r\n"
    started = time.monotonic()
    with shared_kit.browser("ada") as ada:
        answer = ada.post(SHEET, content=body, headers={"Content-Type": "multipart/form-data; boundary=B"})
    assert answer.status_code in (400, 413, 422)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=B"])
def test_a_million_fields_of_a_plain_form_are_refused(shared_kit: Kit, kind: str) -> None:
    """Also before anybody is known: the sign-in form takes no more than others."""
    started = time.monotonic()
    with shared_kit.browser() as anybody:
        answer = anybody.post("/sign-in", content=b"a=1&" * 2_000_000, headers={"Content-Type": kind})
    assert 400 <= answer.status_code < 500
    assert time.monotonic() - started < 8


@pytest.mark.parametrize(
    "codec", ["utf-7", "utf-16", "unicode_escape", "punycode", "idna", "undefined", "hex", "x" * 999]
)
@pytest.mark.parametrize("text", [b"+2AA-", b"\\ud800", b"-" + b"a" * 1_000_000])
def test_a_form_is_read_as_utf_8_whatever_it_claims(shared_kit: Kit, codec: str, text: bytes) -> None:
    """No codec of Python's is lent to strangers: some take time by the square, some give text that cannot be stored."""
    started = time.monotonic()
    with shared_kit.browser("ada") as ada:
        token = shared_kit.csrf(ada).encode()
        parts = [b'name="pasted"\r\n\r\n' + text, b'name="csrf"\r\n\r\n' + token]
        body = b"".join(b"--B\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--B--\r\n"
        for charset in (f"charset={codec}", f"charset=utf-8; charset={codec}"):
            kind = f"multipart/form-data; boundary=B; {charset}"
            for path in (SHEET, f"{SHEET}/look", "/language"):
                assert ada.post(path, content=body, headers={"Content-Type": kind}).status_code in (200, 422)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "header", [b"X: " + b"y" * 200_000, b"Cookie: a=" + b"y" * 200_000, b"\r\n".join([b"X: y"] * 50_000)]
)
def test_headers_without_measure_are_refused(shared_kit: Kit, header: bytes) -> None:
    """Huge headers and cookies end the connection, and the next one is served."""
    answer = get(shared_kit, b"/sign-in", header)
    assert not answer or status_of(answer) in (400, 413, 431)
    assert status_of(get(shared_kit, b"/sign-in")) == 200


def test_a_broken_multipart_is_a_complaint_not_a_fault(shared_kit: Kit) -> None:
    """Every way to spoil a form is answered with 4xx."""
    bodies = (
        b"",
        b"--B",
        b"--B\r\n\r\n\r\n--B--\r\n",
        b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--\r\n",
        b'--B\r\nContent-Disposition: form-data; name="\r\n',
        b"\0" * 1000,
        b"--B\r\n: x\r\n\r\n--B--",
    )
    with shared_kit.browser("ada") as ada, shared_kit.client("ada") as api:
        for body in bodies:
            for kind in ("multipart/form-data; boundary=B", "multipart/form-data", 'multipart/form-data; boundary="'):
                for client, path in ((ada, SHEET), (api, f"{API_SHEET}/submissions")):
                    answer = client.post(path, content=body, headers={"Content-Type": kind})
                    assert 400 <= answer.status_code < 500, (path, body[:60], kind)


def test_the_largest_uploads_are_what_is_said(shared_kit: Kit) -> None:
    """5 MiB of a script are taken, a byte more is not; a refused file leaves nothing behind."""
    most = submitting.KINDS[".py"]
    with shared_kit.browser("ada") as ada:
        assert send(shared_kit, ada, SHEET, files={"file": ("a.py", b"#" * most)}).status_code == 303
        with shared_kit.service.store.read() as session:
            count = session.query(Submission).count()
        assert send(shared_kit, ada, SHEET, files={"file": ("a.py", b"#" * (most + 1))}).status_code == 413
        assert send(shared_kit, ada, f"/courses/dl/assignments/{SUMS}x", {"pasted": "x"}).status_code == 404
        with shared_kit.service.store.read() as session:
            assert session.query(Submission).count() == count
