"""Nothing that is uploaded can crash, hang or confuse the reader: a submission or a message comes out."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
import time
import warnings
import zipfile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.errors import NotGradable
from grader.intake import Slice, Submission, read_upload, slice_submission

ASKED = ["f", "A", "A.m", "g"]
N = 10**5


def grade(file: str, data: bytes) -> Slice | None:
    """What the service does with an upload: a slice that holds what it promises, or a message."""
    try:
        submission = read_upload(file, data, ASKED)
        for source in (submission.source, *submission.modules.values()):
            assert len(source.origins) == source.text.count("\n") + 1
        result = slice_submission(submission, ASKED)
    except NotGradable as error:
        refusal = error.text
    else:
        return _kept_its_promises(submission, result)
    assert refusal.en
    assert refusal.zh
    return None


def _kept_its_promises(submission: Submission, result: Slice) -> Slice:
    assert result.text.count("\n") == submission.source.text.count("\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ast.parse(result.text)
    for line in range(1, len(result.origins) + 1):
        assert result.origin(line).line >= 1
    return result


BOMBS = {
    "brackets": "(" * N,
    "closed brackets": "(" * N + "1" + ")" * N,
    "signs": "-" * N + "1",
    "few signs": "-" * 2500 + "1",
    "attributes": "a" + ".b" * N,
    "sums": "1+" * N + "1",
    "short sum": "1+" * 2500 + "1",
    "not": "not " * N + "x",
    "lambda": "lambda:" * N + "1",
    "conditionals": "x if y else " * N + "z",
    "calls": "a" + "()" * N,
    "subscripts": "a" + "[0]" * N,
    "power": "2**" * N + "1",
    "elif": "if x:\n pass\n" + "elif x:\n pass\n" * 9000,
    "indentation": "\n".join(" " * i + "if x:" for i in range(200)),
    "f-strings": "f'{" * 50 + "1" + "}'" * 50,
    "f-string formats": "f'" + "{x:" * 1000 + "}" * 1000 + "'",
    "f-string parts": "x = f'" + "{x}" * 15000 + "'\ndef f(): return x",
    "comprehension": "def f(): return [x " + "for x in y " * 12000 + "]",
    "conditions": "def f(): return [x for x in y " + "if x " * 25000 + "]",
    "assignments": "a=" * N + "1",
    "statements": "a=1;" * N,
    "digits": "x=" + "9" * N,
    "long line": "x='" + "a" * 10**6 + "'\ndef f(): return x",
    "long name": "def " + "f" * 10**6 + "(): pass",
    "backslashes": "\\\n" * 19000 + "f=1",
    "form feeds": "\f \f" * N + "\nf=1",
    "spaces": " " * 10**6 + "x",
    "quotes": "'" * N,
    "magics": "x = y\n%a\n" * 9000,
    "open magic": "x = 'a\\\n" * 9000 + "%a",
    "spaces before a magic": ("a " + "b " * 900 + "\n") * 30 + "%x",
    "chain": "\n".join(f"x{i + 1}=g(x{i})" for i in range(5000)) + "\nx0=1\ndef g(x): return x\ndef f(): return x5000",
    "mutations": "t={}\n" + "\n".join(f"t[{i}]=1\ny{i}=t" for i in range(2500)) + "\ndef f(): return t",
    "imports": "import a.b\nx=a\n" * 5000 + "def f(): return x",
    "definitions": "\n".join(f"def g{i}(): return g{i + 1}()" for i in range(5000)) + "\ndef f(): return g0()",
    "calls while defining": "\n".join(f"def g{i}(): return g{i + 1}()" for i in range(2000))
    + "\n"
    + "\n".join(f"x{i}=g0()" for i in range(2000))
    + "\ndef f(): return ["
    + ",".join(f"x{i}" for i in range(2000))
    + "]",
    "bases": "class c0: pass\n"
    + "".join(f"class c{i}(c{i - 1}): pass\n" for i in range(1, 4000))
    + "class A(c3999): pass",
    "own base": "class A(B): pass\nclass B(A): pass\nclass A(B): pass",
    "aliases": "import m as a\n" + "a=a.b\n" * 5000 + "def f(): return a",
    "wide characters": "'中';" * 15000 + "f=1",
    "unpacking": "f," * 18000 + "=x",
    "undefined": "".join(f"import module{i}\n" for i in range(400))
    + "def f(): return "
    + "+".join(f"modul{i}x" for i in range(15000)),
    "shared values": "x0=open(1)\n"
    + "".join(f"x{i}=x{i - 1}+x{i - 1}\n" for i in range(1, 3000))
    + "def f(): return "
    + "+".join(f"x{i}" for i in range(3000)),
    "values of a block": "if y:\n"
    + "".join(f" x{i + 1}=x{i}\n" for i in range(5000))
    + "def f(): return ["
    + ",".join(f"x{i}" for i in range(5000))
    + "]",
    "values of an unpacking": ",".join(f"x{i}" for i in range(5000))
    + "="
    + "1," * 5000
    + "\ndef f(): return ["
    + ",".join(f"x{i}" for i in range(5000))
    + "]",
    "instances": "class C: pass\n"
    + "".join(f"x{i}=C()\n" for i in range(3000))
    + "def f(): return ["
    + ",".join(f"x{i}" for i in range(3000))
    + "]",
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("notebook", [False, True], ids=["script", "notebook"])
def test_bombs(name: str, notebook: bool) -> None:
    text = BOMBS[name]
    data = text.encode()
    if notebook:
        cells = [{"cell_type": "code", "source": s} for s in (text, "def g(): return 1")]
        data = json.dumps({"nbformat": 4, "cells": cells}).encode()
    began = time.perf_counter()
    grade("hw.ipynb" if notebook else "hw.py", data)
    assert time.perf_counter() - began < 4, "half a second on a slow machine; four leave room for a busy one"


def test_large_honest_notebooks_are_read() -> None:
    """Three thousand lines of code, and two megabytes of plots."""
    code = "def layer{0}(x, w):\n    h = np.maximum(x @ w, 0.0)\n    return h + {0} * np.exp(-x)\n\n"
    cells: list[dict[str, object]] = [
        {"cell_type": "code", "source": "".join(code.format(10 * i + j) for j in range(10))} for i in range(75)
    ]
    cells.append({"cell_type": "code", "source": "def f(x): return layer1(x, x)\ndef g(x): return x"})
    cells[0]["outputs"] = [{"data": {"image/png": "iVBOR" * 420_000}}]
    assert sum(str(cell["source"]).count("\n") for cell in cells) >= 3000
    assert grade("hw.ipynb", json.dumps({"nbformat": 4, "cells": cells}).encode()) is not None


def test_long_comprehensions_never_reach_the_compiler() -> None:
    """Compiling one kills the interpreter, so it has to be refused here."""
    with pytest.raises(NotGradable, match="nested too deeply"):
        read_upload("hw.py", b"def f(): return [x " + b"for x in y " * 60 + b"]", ["f"])
    assert grade("hw.py", b"def f(): return [x " + b"for x in y " * 40 + b"]") is not None


def test_deep_code_says_so() -> None:
    with pytest.raises(NotGradable, match="nested too deeply"):
        read_upload("hw.py", b"x = " + b"-" * 30_000 + b"1", ["f"])


def test_the_interpreter_survives_in_a_thread_with_a_small_stack() -> None:
    """A service reads uploads in worker threads."""
    program = (
        "import threading\n"
        "from grader.errors import NotGradable\n"
        "from grader.intake import read_upload, slice_submission\n"
        "def work():\n"
        "    for text in ('-' * 2500 + '1', '1+' * 2500 + '1', 'a' + '.b' * 2500, 'x=' + '[' * 150 + ']' * 150):\n"
        "        try:\n"
        "            slice_submission(read_upload('a.py', (text + chr(10) + 'f = 1').encode(), ['f']), ['f'])\n"
        "        except NotGradable:\n"
        "            pass\n"
        "thread = threading.Thread(target=work)\n"
        "thread.start()\n"
        "thread.join()\n"
        "print('alive')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "alive\n", done.stderr


# Fragments that collide in interesting ways when a program is put together at random.
PIECES = st.sampled_from(
    [
        "def f(x): return x",
        "def f(x):\n    return g(x) + y",
        "def g(): pass",
        "g = f",
        "class A:\n    def m(self): return f",
        "class A(B):\n    x = y",
        "A.m = f",
        "y = 1",
        "y += 1",
        "y, z = z, y",
        "y = '中文'",
        "x = [y for y in z]",
        "import numpy as np, os.path, y",
        "from m import (a,\n  y)",
        "from m import *",
        "from __future__ import annotations",
        "np.random.seed(0)",
        "print('ü', y)",
        "for y in z: pass",
        "if y:\n    z = 1",
        "if __name__ == '__main__':\n    f()",
        "try:\n    y = 1\nexcept E as e:\n    y = 2",
        "with y as z: pass",
        "@y\n# @\ndef f(): return 1",
        "'''\n%a\n'''",
        "y[0] = z.a = f",
        "del y",
        "global y",
        "(y := 2)",
        "%magic",
        "!ls",
        "y = !ls",
        "def broken(:",
        "\f",
        "    indented = 1",
        "lambda: (yield)",
        "match y:\n    case {'a': z, **f}: pass",
        "async def f(): await y",
    ]
)
JOINTS = st.sampled_from(["\n", "\n", "\n", "; ", ";", " ; \\\n ", "\r\n", "\r", "\n\n# c\n"])
PROGRAMS = st.lists(st.tuples(PIECES, JOINTS), max_size=12).map(lambda xs: "".join(a + b for a, b in xs))
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | PROGRAMS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["nbformat", "cells", "cell_type", "source", "outputs", "x"]) | st.text(max_size=3),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
CELLS = st.lists(
    st.fixed_dictionaries(
        {"cell_type": st.sampled_from(["code", "code", "markdown", 3]), "source": PROGRAMS | st.lists(PROGRAMS) | JSON}
    )
    | JSON,
    max_size=5,
)
often = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@often
@given(st.sampled_from(["a.py", "a.ipynb", "a.zip", "a.txt", ""]), st.binary(max_size=300))
def test_arbitrary_bytes(file: str, data: bytes) -> None:
    grade(file, data)


@often
@given(st.text(max_size=200))
def test_arbitrary_text(text: str) -> None:
    grade("a.py", text.encode("utf-8", "surrogatepass"))


@often
@given(JSON)
def test_arbitrary_json(tree: Any) -> None:
    grade("a.ipynb", json.dumps(tree).encode())


@often
@given(CELLS)
def test_arbitrary_cells(cells: Any) -> None:
    grade("a.ipynb", json.dumps({"nbformat": 4, "cells": cells}).encode())


@settings(often, max_examples=600)
@given(PROGRAMS)
def test_arbitrary_programs(text: str) -> None:
    grade("a.py", text.encode())


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
STATEMENTS = st.sampled_from(["f = y", "y = 1", "z = 'é'", "g()", "import y", "a = b = y"])
SEMICOLONS = st.sampled_from([";", " ;  ", ";\\\n", "; \\\n  "])


@settings(often, max_examples=600)
@given(st.lists(st.tuples(STATEMENTS, SEMICOLONS), max_size=6))
def test_every_kept_statement_stays_at_its_place(statements: list[tuple[str, str]]) -> None:
    text = "".join(a + b for a, b in statements) + "f = 2"
    result = grade("a.py", text.encode())
    assert result is not None
    original = {_place(node, text): ast.dump(node) for node in ast.parse(text).body}
    kept = [node for node in ast.parse(result.text).body if not isinstance(node, ast.Expr)]
    assert kept
    for node in kept:
        # a single space before a statement after a backslash is all that may be lost
        line, column = _place(node, result.text)
        assert ast.dump(node) in (original.get((line, column)), original.get((line, column + 1)))


def _place(node: ast.stmt, text: str) -> tuple[int, int]:
    line = text.split("\n")[node.lineno - 1]
    return node.lineno, len(line.encode()[: node.col_offset].decode())


@often
@given(st.dictionaries(NAMES.map(lambda s: s + ".py") | NAMES, PROGRAMS, max_size=4))
def test_arbitrary_archives(files: dict[str, str]) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    grade("a.zip", out.getvalue())


@often
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=4))
def test_damaged_archives(at: int, patch: bytes) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.py", "def f(): return 1\n" * 30)
        archive.writestr("b.ipynb", json.dumps({"nbformat": 4, "cells": []}))
    data = bytearray(out.getvalue())
    at %= len(data)
    data[at : at + len(patch)] = patch
    grade("a.zip", bytes(data))
