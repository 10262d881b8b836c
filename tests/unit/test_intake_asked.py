"""What is missing, what was never filled in, and what is said about it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pytest

from grader.errors import NotGradable
from grader.intake import Slice, read_upload, slice_submission
from grader.intake.asked import near

OK = "\ndef ok(): return 1\n"


def look(text: str, *asked: str) -> Slice:
    """The slice of a script that also has what makes it gradable."""
    names = (*asked, "ok")
    return slice_submission(read_upload("hw.py", (text + OK).encode(), names), names)


def look_cells(cells: Sequence[str], *asked: str) -> Slice:
    made = [{"cell_type": "code", "source": c} for c in (*cells, OK)]
    names = (*asked, "ok")
    return slice_submission(read_upload("hw.ipynb", json.dumps({"nbformat": 4, "cells": made}).encode(), names), names)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("def f(): return 1", "f"),
        ("class f: x = 1", "f"),
        ("f = lambda x: x", "f"),
        ("def g(): return 1\nf = g", "f"),
        ("import tf\ndef f(): return 1\nf = tf.function(f)", "f"),
        ("f, g = make()", "f"),
        ("if x:\n    def f(): return 1", "f"),
        ("try:\n    def f(): return 1\nexcept E: pass", "f"),
        ("with a:\n    def f(): return 1", "f"),
        ("for i in x:\n    def f(): return 1", "f"),
        ("from scipy.special import softmax as f", "f"),
        ("import numpy as f", "f"),
        ("async def f(): return 1", "f"),
        ("def ｆ(): return 1", "f"),
        ("def f(): return 1", "ｆ"),
        ("class A:\n    def m(self): return 1", "A.m"),
        ("class A:\n    m = lambda self: 1", "A.m"),
        ("class A:\n    if 1:\n        def m(self): return 1", "A.m"),
        ("class B:\n    def m(self): return 1\nclass A(B): pass", "A.m"),
        ("class C:\n    def m(self): return 1\nclass B(C): pass\nclass A(B, object): pass", "A.m"),
        ("import nn\nclass A(nn.Module): pass", "A.m"),
        ("from nn import Module\nclass A(Module): pass", "A.m"),
        ("class A(make()): pass", "A.m"),
        ("class A(metaclass=M): pass", "A.m"),
        ("@d\nclass A: pass", "A.m"),
        ("class A:\n    def __getattr__(self, n): return 1", "A.m"),
        ("class A: pass\ndef m(self): return 1\nA.m = m", "A.m"),
        ("class A:\n    def __init__(self): self.m = 1", "A.m"),
        ("class A2:\n    def m(self): return 1\nA = A2", "A.m"),
        ("A = make()", "A.m"),
        ("class A(A): pass", "A.m"),
        ("class A:\n    def m(self): return 1\nclass A(A): pass", "A.m"),
    ],
)
def test_present(text: str, name: str) -> None:
    assert not look(text, name).missing


@pytest.mark.parametrize(
    ("text", "name", "en"),
    [
        ("", "f", "f is not defined; your file defines ok."),
        ("f", "f", "not defined"),
        ("f: int", "f", "not defined"),
        ("def g():\n    def f(): return 1", "f", "your file defines g, ok."),
        ("def soft_max(x): return x", "softmax", "did you mean soft_max? Rename it to softmax."),
        ("def SoftMax(x): return x", "softmax", "did you mean SoftMax?"),
        ("def my_softmax(x): return x", "softmax", "did you mean my_softmax?"),
        ("def sofmtax(x): return x", "softmax", "did you mean sofmtax?"),
        ("def softmaxs(x): return x", "softmax", "did you mean softmaxs?"),
        ("matmul = lambda x: x", "Matmul", "did you mean matmul?"),
        ("if __name__ == '__main__':\n    def f(): return 1", "f", "only under `if __name__"),
        ("from my_functions import f", "f", "imported from my_functions, which is not in the upload"),
        ("class A:\n    def n(self): return 1", "A.m", "A has no method m; it defines n."),
        ("class A:\n    def backwards(self): return 1", "A.backward", "did you mean backwards?"),
        ("class A: x = 1", "A.m", "A has no method m; it defines none."),
        ("def A(x): return x", "A.m", "A is a function in your file; a class A with a method m is asked for."),
        ("", "A.m", "A is not defined"),
        ("class B:\n    def n(self): return 1\nclass A(B): pass", "A.m", "A has no method m; it defines n."),
    ],
)
def test_missing(text: str, name: str, en: str) -> None:
    result = look(text, name)
    assert list(result.missing) == [name]
    assert en in result.missing[name].en
    assert any("\u4e00" <= c <= "\u9fff" for c in result.missing[name].zh)


def test_a_function_where_a_class_is_asked_for_is_said_of_the_class_too() -> None:
    result = look("def A(x): return x\ndef B(x): return x", "A", "A.m", "A.n", "B")
    assert list(result.missing) == ["A", "A.m", "A.n"]
    assert result.missing["A"].en == "A is a function in your file; a class A with a method m is asked for."
    assert "A 是函数" in result.missing["A"].zh


def test_another_asked_name_is_not_suggested() -> None:
    result = look("def softmax(x): return x\ndef sigmoid_ce(x): return x", "softmax", "softmax_ce", "sigmoid_ce")
    assert "did you mean" not in result.missing["softmax_ce"].en


@pytest.mark.parametrize(
    ("name", "candidates", "expected"),
    [
        ("softmax", ["sigmoid", "Soft_Max"], "Soft_Max"),
        ("softmax", ["sigmoid", "train"], None),
        ("compute_loss", ["computeLoss", "compute_accuracy"], "computeLoss"),
        ("f", ["g", "h"], None),
        ("softmax", ["x" * 1000] * 5000, None),
        ("softmax", [], None),
    ],
)
def test_near(name: str, candidates: list[str], expected: str | None) -> None:
    assert near(name, candidates) == expected


STUBS = [
    "def f(x): pass",
    "def f(x): ...",
    "def f(x):\n    '''doc'''",
    "def f(x):\n    ####\n    '''doc'''\n    ####\n    return prob_x",
    "def f(x):\n    return prob_x, prob_y",
    "def f(x):\n    return",
    "def f(x):\n    return None",
    "def f(x):\n    return ...",
    "def f(x):\n    raise NotImplementedError",
    "def f(x):\n    'doc'\n    raise NotImplementedError('todo')",
    "def f(x):\n    y = None\n    return y",
    "def f(x):\n    y = z = ...\n    return y",
    "def f(x):\n    y: int = None\n    pass\n    return y, None",
    "async def f(x): pass",
    "@d\ndef f(x): pass\nd = 1",
    "f = None",
    "f = lambda x: None",
    "def g(x): pass\nf = g",
    "def f(x): return x\ndef f(x): pass",
    "if 1:\n    def f(x): pass",
    "import tf\ndef f(x): pass\nf = tf.function(f)",
    "class f: pass",
    "class f:\n    'doc'\n    ...",
    "class f:\n    def __init__(self): self.mem = {}\n    def forward(self): pass",
]
FILLED = [
    "def f(x): return x",
    "def f(x): return 1",
    "def f(x):\n    y = 1",
    "def f(x):\n    y = None\n    y = g(x)\n    return y",
    "def f(x):\n    x = None\n    return x",
    "y = 1\ndef f(x): return y",
    "def f(x):\n    return y\ndef init():\n    global y\n    y = 1",
    "def f(x): return len",
    "def f(x):\n    print(x)",
    "def f(x):\n    return y + 1",
    "def f(x):\n    raise ValueError",
    "def f(x): pass\ndef f(x): return x",
    "def f(x):\n    if x: return 1",
    "from m import *\ndef f(x): return y",
    "f = lambda x: x",
    "f = 3",
    "class f(g): pass\ng = 1",
    "class f:\n    def forward(self): return 1\n    def backward(self): pass",
    "class f:\n    def __init__(self): self.mem = {}",
    "class f: pass\nf.m = 1",
]


@pytest.mark.parametrize("text", STUBS)
def test_stubs(text: str) -> None:
    result = look(text, "f")
    assert list(result.stubs) == ["f"]
    assert "f is not filled in yet" in result.stubs["f"].en
    assert not result.missing


@pytest.mark.parametrize("text", FILLED)
def test_filled_in(text: str) -> None:
    assert not look(text, "f").stubs


def test_stub_methods() -> None:
    text = (
        "class A:\n    def m(self): pass\n    def n(self): return 1\n    def o(self): return grad\n"
        "    def p(self): pass\n"
        "A.p = make()\nclass B(A):\n    def n(self): pass"
    )
    result = look(text, "A", "A.m", "A.n", "A.o", "A.p", "B.m", "B.n")
    assert list(result.stubs) == ["A.m", "A.o", "B.m", "B.n"]
    assert "(line 2)" in result.stubs["A.m"].en
    assert result.stubs["A.m"].zh.startswith("A.m（第 2 行）还没有填写")


class TestNotGradable:
    def refusal(self, text: str, *asked: str) -> str:
        with pytest.raises(NotGradable) as caught:
            slice_submission(read_upload("hw.py", text.encode(), asked), asked)
        assert any("\u4e00" <= c <= "\u9fff" for c in caught.value.text.zh)
        return caught.value.text.en

    def test_all_missing_lists_what_is_there_and_what_may_be_meant(self) -> None:
        message = self.refusal("def soft_max(x): return x\ndef train(): pass", "softmax", "sigmoid")
        assert message.startswith("None of what this assignment asks for is in the file: softmax, sigmoid.")
        assert "Your file defines soft_max, train." in message
        assert "If soft_max is meant as softmax" in message
        assert message.count("train") == 1

    def test_all_missing_from_a_file_without_definitions(self) -> None:
        assert "no functions or classes" in self.refusal("x = 1", "softmax")

    def test_reasons_are_kept(self) -> None:
        assert "Put both files into one zip" in self.refusal("from other import softmax", "softmax", "sigmoid")

    def test_all_stubs(self) -> None:
        message = self.refusal(
            "def f(x): pass\nclass A:\n    def m(self): pass\n    def n(self): return 1", "f", "A", "A.m"
        )
        assert message.startswith("Nothing is filled in yet: f, A.m.")

    def test_stubs_and_missing(self) -> None:
        assert "Nothing is filled in yet: f." in self.refusal("def f(x): pass", "f", "g")

    def test_one_filled_is_gradable(self) -> None:
        assert list(look("def f(x): pass", "f").stubs) == ["f"]

    def test_a_class_that_is_there_without_the_methods_is_gradable(self) -> None:
        text = b"class A:\n    def other(self): return 1"
        asked = ["A", "A.m"]
        assert list(slice_submission(read_upload("hw.py", text, asked), asked).missing) == ["A.m"]

    def test_nothing_asked(self) -> None:
        assert slice_submission(read_upload("hw.py", b"x = 1", []), []).text.strip() == ""

    def test_long_messages_stay_short(self) -> None:
        text = "\n".join(f"def function_number_{i}(): return {i}" for i in range(500))
        assert len(self.refusal(text, "softmax", "sigmoid")) < 800


class TestNotes:
    def test_defined_twice(self) -> None:
        (note,) = look_cells(["def f(): return 1", "def f(): return 2"], "f").notes
        assert note.en == "f is defined 2 times (code cell 1, line 1, code cell 2, line 1); the last one counts."
        assert "定义了 2 次" in note.zh

    def test_the_empty_stub_comes_last(self) -> None:
        (note,) = look_cells(["def f(): return 1", "def f(): pass"], "f").notes
        assert note.en.endswith("The last one is empty: delete it.")

    def test_methods_defined_twice(self) -> None:
        (note,) = look("class A:\n    def m(self): pass\n    def m(self): return 1", "A.m").notes
        assert note.en == "A.m is defined 2 times (line 2, line 3); the last one counts."

    def test_misspelt_import(self) -> None:
        (note,) = look("import numpy as npm\ndef f(x): return np.exp(x) + np.sum(x)", "f").notes
        assert "np is used (line 2) but not defined; line 1 says `import numpy as npm`" in note.en
        assert "import numpy as npm" in note.zh

    def test_a_misspelt_import_names_the_first_use_in_the_file(self) -> None:
        text = "import numpy as npm\ndef g(): return np.ones(2)\n\nx = 1\ndef f(x):\n    return np.exp(x)"
        result = look(text, "f")
        assert list(result.typos) == ["np"]
        assert result.typos["np"].en == (
            "np is used (line 2) but not defined; line 1 says `import numpy as npm`. Use one name in both places."
        )
        assert "（第 2 行），但没有定义；第 1 行写的是 `import numpy as npm`" in result.typos["np"].zh
        assert result.notes == (result.typos["np"],)

    def test_other_undefined_names_are_no_typos(self) -> None:
        assert not look("import numpy as np\ndef f(x): return np.exp(x) + bias", "f").typos

    def test_names_of_a_lost_kernel(self) -> None:
        (note,) = look_cells(["def f(x):\n    return x @ W + bias"], "f").notes
        assert "W (code cell 1, line 2)" in note.en
        assert "bias (code cell 1, line 2)" in note.en

    @pytest.mark.parametrize(
        "text",
        [
            "def f(x): return len(x)",
            "W = 1\ndef f(x): return W",
            "from m import *\ndef f(x): return W",
            "def f(x):\n    global W\n    W = 1\n    return W",
            "def f(x): return 1\ndef g(): return W",
            "class f:\n    def m(self): return __class__",
        ],
    )
    def test_no_note(self, text: str) -> None:
        assert not look(text, "f").notes


def test_no_space_beside_full_width_punctuation() -> None:
    many = "\n".join(f"def f{i}(): return name{i}\ndef f{i}(): pass" for i in range(20))
    text = many + "\nimport numpy as npm\ndef f(): return np + a + b + c + d + e + g + h + i + j\nprint(1)"
    result = look(text, "f", "absent", *(f"f{i}" for i in range(20)))
    said = [*result.stubs.values(), *result.missing.values(), *result.notes, *result.typos.values()]
    said += [t for o in result.left_out for t in (o.where, o.why)]
    assert len(said) > 40
    assert [t.zh for t in said if re.search(r"[，。；：、（）！？] | [，。；：、（）！？]", t.zh)] == []
