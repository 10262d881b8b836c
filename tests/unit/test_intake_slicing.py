"""A slice is the part of a program that the asked names need, at its own lines and columns."""

from __future__ import annotations

import ast
import json
import sys
import types
from collections.abc import Sequence
from typing import Any

import pytest

from grader.errors import NotGradable
from grader.intake import Slice, read_upload, slice_submission


def cut(text: str, *asked: str) -> Slice:
    """The slice of a script."""
    return checked(read_upload("hw.py", text.encode(), asked), asked)


def cut_cells(cells: Sequence[str], *asked: str) -> Slice:
    made = [{"cell_type": "code", "source": c} for c in cells]
    return checked(read_upload("hw.ipynb", json.dumps({"nbformat": 4, "cells": made}).encode(), asked), asked)


def checked(submission: Any, asked: Sequence[str]) -> Slice:
    result = slice_submission(submission, asked)
    ast.parse(result.text)
    assert result.text.count("\n") == submission.source.text.count("\n")
    return result


def run(result: Slice) -> dict[str, Any]:
    """What the slice of a fixture defines when it runs."""
    space: dict[str, Any] = {"__name__": "submission"}
    exec(compile(result.text, "hw", "exec", dont_inherit=True), space)
    return space


def kept(text: str, *asked: str) -> list[str]:
    """The lines of the slice that are not blank, without their indentation at the end."""
    return [line.rstrip() for line in cut(text, *asked).text.split("\n") if line.strip()]


F = "def f(): return x"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\ny = 2\n" + F, ["x = 1", F]),
        ("x = 1\n" + F + "\nx = 2", [F, "x = 2"]),
        ("x = 1\nx = x + 1\n" + F, ["x = 1", "x = x + 1", F]),
        ("x = 1\nx += 1\nx -= 2\n" + F, ["x = 1", "x += 1", "x -= 2", F]),
        ("x = 5\nx = 1\nx += 1\n" + F, ["x = 1", "x += 1", F]),
        ("y = 1\nx = y\ny = 2\n" + F, ["y = 1", "x = y", F]),
        ("x: int = 3\nx: float\n" + F, ["x: int = 3", F]),
        ("x, z = 1, 2\n" + F, ["x, z = 1, 2", F]),
        ("x = z = 1\n" + F, ["x = z = 1", F]),
        ("print(x := 3)\n(x := 4)\n" + F, ["(x := 4)", F]),
        ("x = [a for a in range(3)]\na = 9\n" + F, ["x = [a for a in range(3)]", F]),
        ("x = {}\nx['k'] = 1\nx.a = y = 2\nz = 1\n" + F, ["x = {}", "x['k'] = 1", "x.a = y = 2", F]),
        ("x = {}\nx['k'] = 1\nx = {}\nx['l'] = 2\n" + F, ["x = {}", "x['l'] = 2", F]),
        ("x = {}\nx['k'] += 1\nx['l'].m[0] = 2\n" + F, ["x = {}", "x['k'] += 1", "x['l'].m[0] = 2", F]),
        ("if 1:\n    x = 1\nelse:\n    x = 2\n" + F, ["if 1:", "    x = 1", "else:", "    x = 2", F]),
        ("x = 0\nif 1:\n    x = 1\n" + F, ["x = 0", "if 1:", "    x = 1", F]),
        ("try:\n    x = 1\nexcept E: x = 2\nE = 1\n" + F, ["try:", "    x = 1", "except E: x = 2", "E = 1", F]),
        ("with open('a') as x: pass\n" + F, ["with open('a') as x: pass", F]),
        ("for x in y: pass\ny = 1\n" + F, ["for x in y: pass", "y = 1", F]),
        ("x = 1\nfor x in y: pass\n" + F, ["x = 1", F]),
        ("while 1:\n    x = 1\n    break\n" + F, ["while 1:", "    x = 1", "    break", F]),
        ("match 1:\n    case x: pass\n" + F, ["match 1:", "    case x: pass", F]),
        ("if __name__ == '__main__':\n    x = 1\n    f()\n" + F, [F]),
        ("'''doc'''\nx = 1\nassert x\ndel x\nx\n" + F, ["x = 1", F]),
        ("x = 1\nprint(x)\nx.append(3)\n" + F, ["x = 1", F]),
        ("import a\nimport b as x\nfrom c import d\n" + F, ["import b as x", F]),
        ("import a, b as x, c\n" + F, ["import b as x", F]),
        ("from m import (a,\n  x, # c\n  b as y)\n" + F, ["from m import x", F]),
        ("import x\nimport x.y\nimport x.z as q\n" + F, ["import x", "import x.y", F]),
        ("from m import *\nfrom n import a\n" + F, ["from m import *", F]),
        ("from m import *\nx = 1\n" + F, ["x = 1", F]),
        ("x = h()\ndef h(): return k\nk = 1\n" + F, ["x = h()", "def h(): return k", "k = 1", F]),
        ("k = 1\ndef h(): return k\nx = h()\nk = 2\n" + F, ["k = 1", "def h(): return k", "x = h()", "k = 2", F]),
        ("def f(x): return x\nx = train()", ["def f(x): return x"]),
        ("def f():\n    x = 1\n    return x\nx = train()", ["def f():", "    x = 1", "    return x"]),
        ("x = 1\ndef f():\n    global x\n    x = 2", ["def f():", "    global x", "    x = 2"]),
        ("x = train()\ndef f(): return [x for x in range(3)]", ["def f(): return [x for x in range(3)]"]),
        ("x = 1\ndef f(): return [y for y in x]", ["x = 1", "def f(): return [y for y in x]"]),
        ("x = 1\ndef f(): return lambda x=x: x", ["x = 1", "def f(): return lambda x=x: x"]),
        ("x = 1\nf = lambda: x", ["x = 1", "f = lambda: x"]),
        ("def g(): return 1\nf = g", ["def g(): return 1", "f = g"]),
        ("def f(): return 1\nimport tf\nf = tf.function(f)", ["def f(): return 1", "import tf", "f = tf.function(f)"]),
        ("@d\ndef f(a=x): return 1\nd = 1\nx = 2", ["@d", "def f(a=x): return 1", "d = 1", "x = 2"]),
        ("x = 1\ndef f(): return 1\ndef f(): return x", ["x = 1", "def f(): return x"]),
        (
            "x = 1\nclass f:\n    y = x\n    def m(self): return x\nx = 2",
            ["x = 1", "class f:", "    y = x", "    def m(self): return x", "x = 2"],
        ),
        ("x = 1\nclass f:\n    x = 2\n    y = x", ["class f:", "    x = 2", "    y = x"]),
        (
            "x = 1\nclass f:\n    x = 2\n    def m(self): return x",
            ["x = 1", "class f:", "    x = 2", "    def m(self): return x"],
        ),
        ("class B: pass\nclass f(B): pass\nclass C(f): pass", ["class B: pass", "class f(B): pass"]),
        ("def h(self): return 1\nclass f: pass\nf.m = h", ["def h(self): return 1", "class f: pass", "f.m = h"]),
        ("f = sum\nsum = 3", ["f = sum", "sum = 3"]),
        ("x = 1\nasync def f(): return x", ["x = 1", "async def f(): return x"]),
        (
            "x = 1\ndef f():\n    def g():\n        return x\n    return g",
            ["x = 1", "def f():", "    def g():", "        return x", "    return g"],
        ),
        (
            "x = 1\ndef f(x):\n    def g():\n        return x\n    return g",
            ["def f(x):", "    def g():", "        return x", "    return g"],
        ),
        ("x = 1\ndef f():\n    try: pass\n    except E as x: x", ["def f():", "    try: pass", "    except E as x: x"]),
        ("x = 1\ndef f():\n    import x\n    return x", ["def f():", "    import x", "    return x"]),
        ("ｘ = 1\n" + F, ["ｘ = 1", F]),
    ],
)  # fmt: skip
def test_what_is_kept(text: str, expected: list[str]) -> None:
    assert kept(text, "f") == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x = 1; train()", "x = 1"),
        ("train(); x = 1", "0;       x = 1"),
        ("x = 1; train(); f = x", "x = 1;          f = x"),
        ("a = 1; x = 2; b = 3; f = x; c = 4", "0;     x = 2;        f = x"),
        ("train('中文'); x = 1; print('文')", "0;           x = 1"),
        ("x = '中'; train(); f = x;", "x = '中';          f = x"),
        ("x = 1;", "x = 1"),
        ("x = 1 ; # ;", "x = 1"),
        ("import a, x; train()", "import x"),
    ],
)
def test_statements_that_share_a_line(line: str, expected: str) -> None:
    text = cut(line + "\n" + ("" if "f = x" in line else F), "f").text
    assert text.split("\n")[0].rstrip() == expected
    if expected.startswith("0;"):
        at = expected.index("x =")
        assert text[at:].startswith("x =")
        assert line[at:].startswith("x =")


@pytest.mark.parametrize(
    "text",
    [
        "train(\n1); x = 1\n" + F,
        "train(); \\\n  x = 1\n" + F,
        "train(); \\\n x = 1\n" + F,
        "train(); \\\nx = 1\n" + F,
        "train(); \\\n  \\\n x = 1; y = 2\n" + F,
        "from m import (a,\n b); x = 1\n" + F,
        "from sys import (path,\n argv); x = 1\ndef f(): return x, path",
        "from sys import (path,\n argv); x = 1\ndef f(): return path",
        "s = '''\n'''; x = 1\n" + F,
        "x = '''\n'''; s = 1; t = 2\ndef f(): return x, t",
    ],
)
def test_statements_that_share_lines_through_brackets_and_backslashes(text: str) -> None:
    run(cut(text, "f"))["f"]()


def test_decorators_are_part_of_the_definition() -> None:
    text = "x=1 # @no\n# @no\n\n@ \\\n  d\n@(\n d)\ndef f(): return\\\n 1\nd = 1"
    lines = cut(text, "f").text.split("\n")
    assert [line.strip() for line in lines] == ["", "", "", "@ \\", "d", "@(", "d)", "def f(): return\\", "1", "d = 1"]


def test_lines_and_columns_are_those_of_the_upload() -> None:
    result = cut_cells(["import math\nprint(1)", "train()\n\ndef f(x):\n    return 1 / x"], "f")
    with pytest.raises(ZeroDivisionError) as caught:
        run(result)["f"](0)
    line = caught.traceback[-1].lineno + 1
    assert result.origin(line).say().en == "code cell 2, line 4"
    assert result.origin(0) == result.origins[0]
    assert result.origin(10**6) == result.origins[-1]


class TestFuture:
    def test_kept_at_the_top(self) -> None:
        assert kept("'''d'''\nfrom __future__ import annotations\nx = 1\ndef f(): pass\nf = x", "f")[0].startswith(
            "from"
        )

    def test_left_out_below_other_code(self) -> None:
        result = cut_cells(["x = 1", "from __future__ import division\ndef f(): return x"], "f")
        assert run(result)["f"]() == 1
        assert any("first line" in o.why.en for o in result.left_out)


class TestConfiguration:
    @pytest.mark.parametrize(
        ("text", "stays"),
        [
            ("np.random.seed(0)\nimport numpy as np\ndef f(): return np.ones(3)", True),
            ("S = 7\nnp.random.seed(S)\nimport numpy as np\ndef f(): return np.ones(3)", True),
            ("import tensorflow as tf\ntf.keras.backend.set_floatx('float64')\ndef f(): return tf.ones(3)", True),
            ("from numpy import seterr, ones\nseterr(all='ignore')\ndef f(): return ones(3)", True),
            ("import torch\ntorch.manual_seed(0)\ndef f(): return 1", False),
            ("import numpy as np\nnp.random.seed(train())\ndef f(): return np.ones(3)", False),
            ("S = train()\nimport numpy as np\nnp.random.seed(S)\ndef f(): return np.ones(3)", False),
            ("import numpy as np\nnp.save('a', 1)\ndef f(): return np.ones(3)", False),
        ],
    )
    def test_cheap_settings_of_libraries_in_use(self, text: str, stays: bool) -> None:
        calls = [line for line in kept(text, "f") if "see" in line or "set" in line or "save" in line]
        assert any("(" in line and not line.startswith("from") for line in calls) is stays

    def test_what_a_setting_needs_is_kept_too(self) -> None:
        lines = kept("S = 7\nimport numpy as np\nnp.random.seed(S)\ndef f(): return np.ones(3)", "f")
        assert lines[:3] == ["S = 7", "import numpy as np", "np.random.seed(S)"]


class TestLeftOut:
    def test_neighbours_of_one_kind_are_one_entry(self) -> None:
        cells = [
            "import os\nimport sys",
            "def f(): return 1",
            "a = 1\nb = 2\n\nc = 3",
            "print(1)\nprint(2)\nfor i in a:\n    pass\nplt.plot(1)\ntrain()",
            "def g(): pass",
            "if __name__ == '__main__': f()",
            "if a: b",
            "a.b = 1; a == 2",
        ]
        entries = [(o.where.en, o.what, o.why.en) for o in cut_cells(cells, "f").left_out]
        assert entries == [
            ("code cell 1, lines 1-2", "import os, import sys", "imports that the functions asked for do not use"),
            ("code cell 3, lines 1-4", "a = 1", "not needed by the functions asked for"),
            ("code cell 4, lines 1-2", "print(1)", "prints"),
            ("code cell 4, lines 3-4", "for i in a:", "a loop at top level"),
            ("code cell 4, line 5", "plt.plot(1)", "plots"),
            ("code cell 4, line 6", "train()", "a call at top level; the grader calls your functions itself"),
            ("code cell 5, line 1", "def g(): pass", "not needed by the functions asked for"),
            ("code cell 6, line 1", "if __name__ == '__main__': f()", "only run when the file is started as a program"),
            ("code cell 7, line 1", "if a: b", "a block at top level that the functions asked for do not need"),
            ("code cell 8, line 1", "a.b = 1", "not needed by the functions asked for"),
            ("code cell 8, line 1", "a == 2", "a statement at top level that defines nothing"),
        ]

    def test_places_in_both_languages(self) -> None:
        cells = ["a = 1", "b = 1\nc = 2\nprint(b)", "print(c)\ndef f(): return 1"]
        found = [(o.where.en, o.where.zh) for o in cut_cells(cells, "f").left_out]
        assert found == [
            ("code cells 1-2", "第 1–2 个代码单元"),
            ("code cells 2-3", "第 2–3 个代码单元"),
        ]
        (entry,) = cut_cells(["x = 1\ny = 2", "def f(): return 1"], "f").left_out
        assert entry.where.zh == "第 1 个代码单元第 1–2 行"
        (entry,) = cut("def f(): return 1\nx = 1\ny = 2", "f").left_out
        assert (entry.where.en, entry.where.zh) == ("lines 2-3", "第 2–3 行")
        (entry,) = cut("def f(): return 1\nx = 1", "f").left_out
        assert (entry.where.en, entry.where.zh) == ("line 2", "第 2 行")

    def test_it_stays_short(self) -> None:
        result = cut("def f(): return 1\n" + "a = 1\nprint(1)\n" * 500, "f")
        assert len(result.left_out) == 41
        assert result.left_out[-1].why.en == "many more such pieces"

    def test_magics_and_first_lines_are_shown(self) -> None:
        (entry, long) = cut_cells(["%matplotlib inline\ndef f(): return 1\ng = " + "a+" * 80 + "a"], "f").left_out
        assert (entry.where.en, entry.what) == ("code cell 1, line 1", "%matplotlib inline")
        assert long.what.endswith("…")
        assert len(long.what) == 60


class TestModules:
    def zipped(self, *asked: str, **files: str) -> Slice:
        import io
        import zipfile

        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, text in files.items():
                archive.writestr(name + ".py", text)
        return checked(read_upload("hw.zip", out.getvalue(), asked), asked)

    def test_needed_siblings_come_along_whole(self) -> None:
        result = self.zipped(
            "f",
            "g",
            main="import a\nfrom b import h\ndef f(): return a.x\ndef g(): return 1",
            a="import c\nx = 1\nprint(2)",
            b="h = 1",
            c="y = 2",
            d="z = 3",
        )
        assert dict(result.modules) == {"a": "import c\nx = 1\nprint(2)", "c": "y = 2"}

    def test_an_import_inside_a_function_counts(self) -> None:
        result = self.zipped("f", "g", main="def f():\n    from a import x\n    return x\ndef g(): return 1", a="x = 1")
        assert set(result.modules) == {"a"}

    def test_a_name_from_a_sibling(self) -> None:
        result = self.zipped("f", "g", "h", main="from a import f, h\ndef g(): return 1", a="def f(): return 1")
        assert set(result.modules) == {"a"}
        assert list(result.missing) == ["h"]
        assert "a.py" in result.missing["h"].en

    def test_a_star_from_a_sibling(self) -> None:
        result = self.zipped(
            "f", "g", "h", main="from a import *\ndef g(): return 1\ndef h(): return 2", a="def f(): return 1"
        )
        assert not result.missing
        assert "from a import *" in result.text

    def test_modules_that_import_each_other(self) -> None:
        result = self.zipped(
            "f", "g", main="import a\ndef f(): return a\ndef g(): return 1", a="import b", b="import a"
        )
        assert set(result.modules) == {"a", "b"}

    def test_a_broken_sibling_matters_when_it_is_needed(self) -> None:
        broken = "x = (1"
        assert self.zipped("f", "g", main="def f(): return 1\ndef g(): return 1\nimport a", a=broken).modules == {}
        with pytest.raises(NotGradable, match=r"a\.py, line 1"):
            self.zipped("f", "g", main="import a\ndef f(): return a\ndef g(): return 1", a=broken)


class TestBrokenCells:
    def test_ignored_when_everything_is_elsewhere(self) -> None:
        result = cut_cells(["def f(): return 1", "def f(:\n  pass"], "f")
        assert run(result)["f"]() == 1
        assert "code cell 2, line 1" in result.notes[0].en
        assert "第 2 个代码单元第 1 行" in result.notes[0].zh

    def test_refused_when_it_may_hold_what_is_missing(self) -> None:
        with pytest.raises(NotGradable) as caught:
            cut_cells(["def f(): return 1", "def g(x:\n  pass", "x = ("], "f", "g")
        assert "code cell 2, line 1" in caught.value.text.en
        assert "code cell 3" not in caught.value.text.en
        assert "def g(x:\n         ^" in caught.value.text.zh

    def test_scratch_that_does_not_mention_it_is_no_reason_to_refuse(self) -> None:
        result = cut_cells(["def f(): return 1", "1 2 3"], "f", "g")
        assert list(result.missing) == ["g"]

    def test_every_broken_cell_is_told_when_nothing_is_found(self) -> None:
        with pytest.raises(NotGradable) as caught:
            cut_cells(["1 2", "def f(): pass", "3 4"], "f")
        assert "code cell 1" in caught.value.text.en
        assert "code cell 3" in caught.value.text.en


def test_no_warning_is_shown_for_what_the_student_wrote(recwarn: pytest.WarningsRecorder) -> None:
    submission = read_upload("hw.py", b"x = '\\d'; y = x is 0; z = 1if x else 2; (1)()\ndef f(): return x", ["f"])
    slice_submission(submission, ["f"])
    assert not recwarn.list


def test_nothing_of_the_upload_is_imported_or_run(monkeypatch: pytest.MonkeyPatch) -> None:
    trap = types.ModuleType("trap_module")
    monkeypatch.setitem(sys.modules, "trap_module", trap)
    cut("import trap_module\ntrap_module.hit = 1\ndef f(): return trap_module\nimport not_there", "f")
    assert not hasattr(trap, "hit")
    assert "not_there" not in sys.modules
