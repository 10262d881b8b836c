"""Uploads become flat programs whose lines know where they came from, or a message for the student."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

import pytest

from grader.errors import NotGradable
from grader.intake import Origin, Submission, UploadLimits, read_upload


def notebook(*cells: Any, **extra: Any) -> bytes:
    """A notebook in format 4: strings are code cells, dicts are cells as they are."""
    made = [c if isinstance(c, dict) else {"cell_type": "code", "source": c, "outputs": []} for c in cells]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made} | extra).encode()


def zipped(entries: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


def refusal(file: str, data: bytes, limits: UploadLimits | None = None) -> NotGradable:
    with pytest.raises(NotGradable) as caught:
        read_upload(file, data, ["softmax"], limits or UploadLimits())
    text = caught.value.text
    assert text.en.endswith("."), "a message is a sentence"
    assert any("\u4e00" <= c <= "\u9fff" for c in text.zh), "a message exists in Chinese"
    assert "Traceback" not in text.en
    assert "!" not in text.en
    assert "！" not in text.zh
    return caught.value


def read(file: str, data: bytes) -> Submission:
    submission = read_upload(file, data, ["softmax"])
    sources = [submission.source, *submission.modules.values()]
    assert all(len(s.origins) == s.text.count("\n") + 1 for s in sources)
    return submission


class TestScripts:
    def test_lines_and_digest(self) -> None:
        data = b"a = 1\nb = 2\n"
        submission = read("my hw.PY", data)
        assert submission.digest == hashlib.sha256(data).hexdigest()
        assert submission.source.text == "a = 1\nb = 2\n"
        assert submission.source.origins[1] == Origin(file="my hw.PY", cell=None, line=2)
        assert submission.source.origins[1].say().en == "line 2"
        assert submission.source.origins[1].say().zh == "第 2 行"

    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (b"a=1\r\nb=2\r\n", "a=1\nb=2\n"),
            (b"a=1\rb=2", "a=1\nb=2"),
            (b"\xef\xbb\xbfa=1", "a=1"),
            (b"a=1\n\f\nb=2", "a=1\n\nb=2"),
            (b"\fa=1\n  \f  \n", "a=1\n  \n"),
            ("# coding: latin-1\nx = 'é'".encode(), "# coding: latin-1\nx = 'é'"),
            ("x = 'ｎｐ'".encode(), "x = 'ｎｐ'"),
            (b'x = "a\\d"; y = x is 0', 'x = "a\\d"; y = x is 0'),
        ],
    )
    def test_text_is_normalised_and_nothing_else(self, data: bytes, text: str) -> None:
        assert read("a.py", data).source.text == text

    @pytest.mark.parametrize(
        ("data", "says"),
        [
            ("x = '中文'".encode("gbk"), ["UTF-8", "line 1", "byte 5", "GBK"]),
            (b"a=1\nb='\xff'", ["UTF-8", "line 2", "byte 7"]),
            ("a=1".encode("utf-16"), ["UTF-16"]),
            (b"", ["empty"]),
            (b"\n\n# nothing\n", ["no code"]),
            (b"a=1\nb=\0", ["line 2", "character"]),
            (b"PK\x03\x04rest", [".zip"]),
            (b"%PDF-1.7", ["PDF"]),
            (b"\n<!DOCTYPE html><html>", ["web page"]),
            (notebook("a=1"), [".ipynb", "Rename"]),
            (b"def f(x:\n    return x\n", ["hw.py", "line 1", "never closed", "def f(x:\n         ^"]),
            (b"def f():\n  return 1\n return 2\n", ["line 3", "unindent"]),
            (b"if x:\n\ta=1\n        b=1\n", ["line 3", "tabs"]),
            (b"def f(x):\n    print x\n", ["line 2", "Python 2", "print(...)"]),
            (b"try:\n    a\nexcept A, e:\n    pass\n", ["line 3", "Python 2"]),
            ("x = （1）".encode(), ["line 1", "invalid character"]),
        ],
    )
    def test_refusals_say_what_and_where(self, data: bytes, says: list[str]) -> None:
        message = refusal("hw.py", data).text.en
        for words in says:
            assert words in message

    def test_caret_stays_under_its_character_after_wide_ones(self) -> None:
        message = refusal("hw.py", "x = '中文' 1".encode()).text.en
        line, caret = message.split("\n")[1:3]
        assert line == "    x = '中文' 1"
        assert caret in ("    " + " " * 4 + "^", "    " + " " * 5 + "\u3000" * 2 + " " * 2 + "^")

    @pytest.mark.parametrize(
        ("reason", "chinese"),
        [
            (b"x = (1", "没有闭合"),
            (b"x = 1)", "不配对"),
            (b"if x\n  y", "冒号"),
            (b"  x = 1\nif", "缩进"),
            (b"x = 'a", "引号"),
            (b"print 1", "Python 2"),
            (b"x = = 1", "语法错误"),
        ],
    )
    def test_chinese_reasons(self, reason: bytes, chinese: str) -> None:
        assert chinese in refusal("hw.py", reason).text.zh

    @pytest.mark.parametrize("name", ["hw.txt", "hw", "hw.pyc", "hw.docx"])
    def test_other_files(self, name: str) -> None:
        assert ".ipynb" in refusal(name, b"a=1").text.en

    def test_names_are_displayed_without_control_characters(self) -> None:
        submission = read("../x/e\x1b[31mvil\u202e\r\nscore=100.py", b"a=1")
        assert submission.file == "e[31mvilscore=100.py"
        assert submission.source.origins[0].file == submission.file

    @pytest.mark.parametrize(
        ("limits", "says"),
        [
            (UploadLimits(upload_bytes=9), "larger"),
            (UploadLimits(code_bytes=9), "MiB of code"),
            (UploadLimits(code_lines=2), "2 lines"),
            (UploadLimits(code_tokens=8), "8 words"),
        ],
    )
    def test_limits(self, limits: UploadLimits, says: str) -> None:
        data = b"a=1\nb=2\nc=3"
        assert says in refusal("a.py", data, limits).text.en
        assert read("a.py", data).source.text == data.decode()

    def test_magics_pasted_into_a_script(self) -> None:
        source = read("a.py", b"%matplotlib inline\na=1\n!ls\n").source
        assert source.text == "\na=1\n\n"
        assert [(o.where.en, o.what) for o in source.left_out] == [("line 1", "%matplotlib inline"), ("line 3", "!ls")]


class TestNotebooks:
    def test_cells_are_counted_among_code_cells(self) -> None:
        data = notebook("a=1\nb=2", {"cell_type": "markdown", "source": "x"}, ["c=3\n", "d=4"], "", "e=5\n")
        source = read("hw.ipynb", data).source
        assert source.text == "a=1\nb=2\nc=3\nd=4\n\ne=5\n"
        assert [(o.cell, o.line) for o in source.origins] == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (4, 1), (4, 2)]
        assert source.origins[3].say().en == "code cell 2, line 2"
        assert source.origins[3].say().zh == "第 2 个代码单元第 2 行"

    def test_outputs_are_never_looked_at(self) -> None:
        cell = {"cell_type": "code", "source": "a=1", "outputs": "<script>", "metadata": 7}
        data = notebook(cell, metadata=[float("nan"), {"x": "def f(:"}])
        assert b"NaN" in data
        assert read("hw.ipynb", data).source.text == "a=1"

    def test_a_broken_cell_is_blanked_and_explained(self) -> None:
        source = read("hw.ipynb", notebook("a=1", "x = [1,\n", "b=2")).source
        assert source.text == "a=1\n\n\nb=2"
        (broken,) = source.broken
        assert broken.origin == Origin(file="hw.ipynb", cell=2, line=1)
        assert "code cell 2, line 1" in broken.message.en
        assert "    x = [1,\n        ^" in broken.message.en
        assert "第 2 个代码单元第 1 行" in broken.message.zh
        assert broken.text == "x = [1,\n"

    def test_an_unclosed_string_does_not_reach_the_next_cell(self) -> None:
        source = read("hw.ipynb", notebook('x = """', "def f(): pass", 'y = """')).source
        assert source.text == "\ndef f(): pass\n"
        assert len(source.broken) == 2

    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (b"{", "damaged"),
            (notebook("a=1")[:-9], "damaged"),
            (b"import numpy\n", "rename it so that it ends in .py"),
            (b"[]", "not a notebook"),
            (b"{}", "not a notebook"),
            (b'{"nbformat": true, "cells": []}', "not a notebook"),
            (b'{"nbformat": NaN, "cells": []}', "not a notebook"),
            (b'{"nbformat": 4}', "no list of cells"),
            (b'{"nbformat": 4, "cells": {}}', "no list of cells"),
            (b'{"nbformat": 3, "worksheets": []}', "format 3"),
            (b'{"nbformat": 4, "nbformat": 4, "cells": []}', '"nbformat" is there twice'),
            (notebook(3, nbformat=5), "format 5"),
            (notebook({"cell_type": "code", "source": 3}), "code cell 1 holds no text"),
            (notebook("a", {"cell_type": "code", "source": ["a", 1]}), "code cell 2 holds no text"),
            (notebook({"cell_type": "code"}), "code cell 1 holds no text"),
            (b'{"nbformat": 4, "cells": [7]}', "item 1 is not a cell"),
            (notebook(), "no code"),
            (notebook("", " \n", "# only\n# comments"), "no code"),
            (notebook({"cell_type": "markdown", "source": "def f(): pass"}), "no code"),
            (notebook("a=1", "x\ny='\ud800'"), "code cell 2, line 2"),
            (notebook("a=\0"), "code cell 1, line 1"),
            (zipped({"a.py": b"a=1"}), ".zip"),
            (b"<html><body>", "web page"),
            ("{'中'}".encode("gbk"), "UTF-8"),
            (b'{"a":' * 50_000, "complex"),
            (b'{"a":' + b"[" * 50_000, "complex"),
            (b'{"nbformat": 4, "cells": [' + b"{}," * 600_000 + b"{}]}", "complex"),
            (b'{"nbformat": ' + b"4" * 100_000 + b', "cells": []}', "format"),
        ],
    )
    def test_refusals(self, data: bytes, says: str) -> None:
        assert says in refusal("hw.ipynb", data).text.en

    def test_byte_order_mark(self) -> None:
        assert read("hw.ipynb", b"\xef\xbb\xbf" + notebook("a=1")).source.text == "a=1"


class TestZips:
    def test_the_program_with_most_of_what_is_asked_for_is_main(self) -> None:
        data = zipped({"a.py": b"x=1", "z.py": b"def softmax(x): return x", "n.ipynb": notebook("import a")})
        submission = read("hw.zip", data)
        assert submission.source.name == "z.py"
        assert set(submission.modules) == {"a"}
        assert submission.notes[0].en.startswith("z.py was graded")
        assert submission.source.origins[0].say().en == "z.py, line 1"
        assert submission.source.origins[0].say().zh == "z.py 第 1 行"

    def test_ties_go_to_the_notebook_and_then_to_the_name(self) -> None:
        code = b"def softmax(x): return x"
        both = {"a.py": code, "c.ipynb": notebook(code.decode()), "b.ipynb": notebook(code.decode())}
        assert read("hw.zip", zipped(both)).source.name == "b.ipynb"
        assert read("hw.zip", zipped({"b.py": code, "a.py": code})).source.name == "a.py"

    def test_names_of_libraries_cannot_be_imported(self) -> None:
        code = b"def softmax(x): return x"
        data = zipped({"main.py": code, "numpy.py": code, "random.py": code, "mine.py": b"x=1", "d/other.py": b"x=1"})
        submission = read("hw.zip", data)
        assert set(submission.modules) == {"mine"}
        assert sum("name of a library" in note.en for note in submission.notes) == 2

    def test_an_unreadable_file_does_not_spoil_the_others(self) -> None:
        data = zipped({"bad.ipynb": b"{", "ok.py": b"def softmax(x): return x", "broken.py": b"def f(:"})
        submission = read("hw.zip", data)
        assert submission.source.name == "ok.py"
        assert any("bad.ipynb" in note.en for note in submission.notes)
        assert submission.modules["broken"].broken

    def test_a_single_unreadable_file_is_the_message(self) -> None:
        assert "damaged" in refusal("hw.zip", zipped({"bad.ipynb": b"{"})).text.en
        assert "bad.py, line 1" in refusal("hw.zip", zipped({"bad.py": b"def f(:"})).text.en

    def test_many_files_share_the_limits_of_one(self) -> None:
        limits = UploadLimits(code_tokens=100)
        data = zipped({f"m{i}.py": b"a = 1 + 2\n" * 4 for i in range(20)})
        assert "too much code" in refusal("hw.zip", data, limits).text.en
        limits = UploadLimits(json_containers=20)
        data = zipped({f"m{i}.ipynb": notebook("a=1") for i in range(20)})
        assert "too much code" in refusal("hw.zip", data, limits).text.en


def test_two_different_answers_in_a_zip_are_not_guessed_between() -> None:
    """Which of draft and final counts decides about the grade; the same answer twice is no question."""
    draft, final = b"def softmax(x):\n    return 0\n", b"def softmax(x):\n    return x\n"
    with pytest.raises(NotGradable) as caught:
        read_upload("homework.zip", zipped({"draft.py": draft, "final.py": final}), ["softmax"])
    assert "draft.py" in caught.value.text.en
    assert "final.py" in caught.value.text.zh
    same = read_upload("homework.zip", zipped({"a/draft.py": final, "b/final.py": final}), ["softmax"])
    assert same.source.name == "draft.py"
    helper = {"main.py": b"from parts import exp\n" + final, "parts.py": b"def exp(x):\n    return x\n"}
    assert read_upload("homework.zip", zipped(helper), ["softmax"]).source.name == "main.py"


def test_conflict_marks_of_git_are_named() -> None:
    cells = notebook("x = 1").replace(b'"cells"', b'\n<<<<<<< HEAD\n"cells"')
    assert "git" in refusal("hw.ipynb", cells).text.en
    assert "download it again" in refusal("hw.ipynb", notebook("x = 1")[:-3]).text.en
