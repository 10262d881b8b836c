"""Library names are recognised under any name, and only in the answer itself."""

from __future__ import annotations

import io
import zipfile

import pytest

from grader.intake import Use, read_upload, slice_submission

TF = "import tensorflow as tf\n"


def uses(text: str, name: str = "f") -> list[str]:
    result = slice_submission(read_upload("hw.py", text.encode(), [name]), [name])
    return [use.dotted for use in result.uses(name)]


@pytest.mark.parametrize(
    "text",
    [
        TF + "def f(x): return tf.nn.softmax(x)",
        "import tensorflow\ndef f(x): return tensorflow.nn.softmax(x)",
        "import tensorflow.nn\ndef f(x): return tensorflow.nn.softmax(x)",
        "import tensorflow.nn as n\ndef f(x): return n.softmax(x)",
        "from tensorflow import nn\ndef f(x): return nn.softmax(x)",
        "from tensorflow import nn as n\ndef f(x): return n.softmax(x)",
        "from tensorflow.nn import softmax as s\ndef f(x): return s(x)",
        "from tensorflow.nn import *\ndef f(x): return softmax(x)",
        TF + "sm = tf.nn.softmax\ndef f(x): return sm(x)",
        TF + "a = tf.nn\nb = a\ndef f(x): return b.softmax(x)",
        TF + "def f(x):\n    n = tf.nn\n    return n.softmax(x)",
        TF + "def f(x):\n    return (n := tf.nn).real, n.softmax(x)",
        TF + "def f(x): return getattr(tf.nn, 'softmax')(x)",
        TF + "def f(x): return getattr(getattr(tf, 'nn'), 'soft' + 'max')(x)",
        "def f(x):\n    import tensorflow as t\n    return t.nn.softmax(x)",
        "def f(x):\n    from tensorflow.nn import softmax\n    return softmax(x)",
        "def f(x): return __import__('tensorflow').nn.softmax(x)",
        "import importlib\ndef f(x): return importlib.import_module('tensorflow.nn').softmax(x)",
        TF + "def f(x, s=tf.nn.softmax): return s(x)",
        TF + "f = tf.nn.softmax",
        TF + "f = lambda x: tf.nn.softmax(x)",
        TF + "def h(x): return tf.nn.softmax(x)\ndef f(x): return h(x)",
        TF + "def h(x): return g(x)\ndef g(x): return tf.nn.softmax(x)\ndef f(x): return [h(y) for y in x]",
        TF + "table = {'s': tf.nn.softmax}\ndef f(x): return table['s'](x)",
        TF + "table = {}\ntable['s'] = tf.nn.softmax\ndef f(x): return table['s'](x)",
        TF + "@tf.function\ndef f(x): return tf.nn.softmax(x)",
        TF + "class B:\n    def g(self, x): return tf.nn.softmax(x)\nclass f(B): pass",
        "import tensorflow as ｔｆ\ndef f(x): return tf.ｎｎ.softmax(x)",
        TF + "def f(x):\n    def g(y): return tf.nn.softmax(y)\n    return g(x)",
        TF + "f = tf.function(tf.nn.softmax)",
        TF + "sm = tf.function(tf.nn.softmax)\ndef f(x): return sm(x)",
        TF + "sm = lambda x: tf.nn.softmax(x)\ndef f(x): return sm(x)",
        TF + "sm = getattr(tf.nn, 'softmax')\ndef f(x): return sm(x)",
        TF + "def make(): return tf.nn.softmax\nf = make()",
        TF + "if tf:\n    def h(x): return tf.nn.softmax(x)\ndef f(x): return h(x)",
        "try:\n    import tensorflow as tf\nexcept ImportError:\n    import other as tf\n"
        "def f(x): return tf.nn.softmax(x)",
    ],
)
def test_found(text: str) -> None:
    assert "tensorflow.nn.softmax" in uses(text)


@pytest.mark.parametrize(
    "text",
    [
        TF + "def f(x): return tf.exp(x)\nprint(tf.nn.softmax(1))",
        TF + "def f(x): return tf.exp(x)\ndef test(): return tf.nn.softmax(f(1))",
        TF + "def f(x): return tf.nn.softmax(x)\ndef f(x): return tf.exp(x)",
        TF + "def f(x): return x.nn.softmax(tf)",
        TF + "def f(tf): return tf.nn.softmax(1)",
        TF + "def f(x):\n    'tf.nn.softmax'\n    return tf.exp(x)  # tf.nn.softmax",
        "def f(x): return tf.nn.softmax(x)",
        TF + "p = tf.nn.softmax(d)\nd = 1\ndef f(x): return p",
        TF + "p: tf.Tensor = tf.nn.softmax(d)\ndef f(x): return p",
        TF + "p = 1\np += tf.nn.softmax(d)\ndef f(x): return p",
        TF + "p = tf.nn.softmax(d).numpy() + 1\ndef f(x): return p",
        TF + "p = [tf.nn.softmax(i) for i in (1, 2)]\ndef f(x): return p",
        TF + "p = {}\np['a'] = tf.nn.softmax(d)\ndef f(x): return p",
        TF + "with tf.device('cpu'):\n    p = tf.nn.softmax(d)\ndef f(x): return p",
        TF + "def h(x): return tf.nn.softmax(x)\np = h(d)\ndef f(x): return p",
        TF + "q = tf.nn.softmax(d)\np = q * 2\nclass f:\n    def m(self): return p",
    ],
)
def test_not_found(text: str) -> None:
    assert "tensorflow.nn.softmax" not in uses(text)


def test_only_the_whole_name_with_its_first_line() -> None:
    text = TF + "def f(x):\n    y = tf.nn.softmax(x)\n    return tf.nn.softmax(y) + tf.exp(x)"
    result = slice_submission(read_upload("hw.py", text.encode(), ["f"]), ["f"])
    assert result.uses("f") == (Use(dotted="tensorflow.nn.softmax", line=3), Use(dotted="tensorflow.exp", line=4))
    assert result.uses("never asked") == ()


def test_each_answer_by_itself() -> None:
    text = TF + "def f(x): return tf.exp(x)\ndef g(x): return tf.nn.softmax(x)"
    asked = ["f", "g"]
    result = slice_submission(read_upload("hw.py", text.encode(), asked), asked)
    assert [u.dotted for u in result.uses("f")] == ["tensorflow.exp"]
    assert [u.dotted for u in result.uses("g")] == ["tensorflow.nn.softmax"]


def test_methods_by_themselves_with_what_they_reach_through_self() -> None:
    text = (
        "import numpy as np\n"
        "class A:\n"
        "    def m(self): return self.h() + g()\n"
        "    def h(self): return np.exp(1)\n"
        "    def n(self): return np.linalg.inv(1)\n"
        "def g(): return np.log(1)\n"
        "class B(A): pass"
    )
    for name in ("A.m", "B.m"):
        assert uses(text, name) == ["numpy.exp", "numpy.log"]
    assert uses(text, "A.n") == ["numpy.linalg.inv"]
    assert uses(text, "A") == ["numpy.exp", "numpy.linalg.inv", "numpy.log"]


@pytest.mark.parametrize(
    "main",
    [
        "from a import f",
        "from a import g\ndef f(x): return g(x)",
        "import a\ndef f(x): return a.g(x)",
        "import a as b\ndef f(x): return b.g(x)",
        "from a import *\ndef f(x): return g(x)",
    ],
)
def test_through_a_sibling_module(main: str) -> None:
    sibling = TF + "def f(x): return g(x)\ndef g(x): return tf.nn.softmax(x)\ndef other(x): return tf.nn.sigmoid(x)"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("main.py", main + "\ndef h(): return 1")
        archive.writestr("a.py", sibling)
    asked = ["f", "h"]
    submission = read_upload("hw.zip", out.getvalue(), asked)
    assert submission.source.name == "main.py"
    found = slice_submission(submission, asked).uses("f")
    assert "tensorflow.nn.softmax" in [u.dotted for u in found]
    assert "tensorflow.nn.sigmoid" not in [u.dotted for u in found]
    assert all(u.line <= 2 for u in found)


def test_aliases_of_aliases_do_not_explode() -> None:
    text = "import m as a0\n" + "".join(f"a{i} = a{i - 1}.x\na{i} = a{i - 1}.y\n" for i in range(1, 200))
    assert len(uses(text + "def f(x): return a199")) < 1000
    assert uses("import np\na = np\n" + "a = a.b\n" * 200 + "def f(x): return a.inv")
