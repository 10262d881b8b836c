"""What only IPython understands is blanked, and nothing else is."""

from __future__ import annotations

import pytest

from grader.intake.magics import Dropped, clean


def cleaned(cell: str) -> str | None:
    result = clean(cell.split("\n"))
    assert len(result.lines) == cell.count("\n") + 1
    return "\n".join(result.lines) if result.flaw is None else None


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("%matplotlib inline\na=1", "\na=1"),
        ("% matplotlib inline\na=1", "\na=1"),
        ("!pip install tqdm\na=1", "\na=1"),
        ("!echo \"it's\nb=1", "\nb=1"),
        ("!ls \\\n  -l\na=1", "\n\na=1"),
        ("pip install tqdm\na=1", "\na=1"),
        ("cd ..\na=1", "\na=1"),
        ("x = !ls\na=1", "\na=1"),
        ("x = %time f()\na=1", "\na=1"),
        ("a, b = %time f()\nc=1", "\nc=1"),
        ("x=!ls\na=1", "\na=1"),
        ("np.exp?\na=1", "\na=1"),
        ("np.exp??  # source\na=1", "\na=1"),
        ("?np.exp\na=1", "\na=1"),
        ("%time?\na=1", "\na=1"),
        ("if True:\n    %time f()\na=1", "if True:\n    pass\na=1"),
        ("for i in x:\n\t!ls\n", "for i in x:\n\tpass\n"),
        ("%%time\na=1", "\na=1"),
        ("\n%%timeit -n 3\na=1", "\n\na=1"),
        ("%%capture out\n%matplotlib inline\na=1", "\n\na=1"),
        ("%%prun\na=1", "\na=1"),
        ("%%bash\nrm -rf /\nx = 1", "\n\n"),
        ("%%html\n<b>", "\n"),
        ("%%writefile a.py\ndef f(): pass", "\n"),
        ("%%\nx=1", "\n"),
        # what looks like a magic and is Python
        ('s = """\n%matplotlib inline\n!ls\nnp.exp?\n"""', 's = """\n%matplotlib inline\n!ls\nnp.exp?\n"""'),
        ("x = (7\n% 4)", "x = (7\n% 4)"),
        ("x = 7 \\\n% 4", "x = 7 \\\n% 4"),
        # the same beside a real magic
        ('!ls\ns = """\n%a\n!b\n"""\nt = 1', '\ns = """\n%a\n!b\n"""\nt = 1'),
        ("!ls\nx = (7\n% 4)", "\nx = (7\n% 4)"),
        ("!ls\nx = 7 \\\n% 4", "\nx = 7 \\\n% 4"),
        ("!ls\nx = '(' # (\n%a\ny = ')'", "\nx = '(' # (\n\ny = ')'"),
        ("!ls\nx = 'a\\'('\n%a", "\nx = 'a\\'('\n"),
        ("!ls\nx = 'a\\\n%b'\n%c", "\nx = 'a\\\n%b'\n"),
        ("!ls\ns = '''\n\\'''\n%a\n'''", "\ns = '''\n\\'''\n%a\n'''"),
        ("!ls\nx = 'url=!%s' % y\nz = a != b", "\nx = 'url=!%s' % y\nz = a != b"),
        ("", ""),
    ],
)
def test_blanking(cell: str, expected: str) -> None:
    assert cleaned(cell) == expected


@pytest.mark.parametrize("cell", ["def f(:", "%time x\ndef f(:", "x = (", "  a=1", "print 1", "a=1\n  b=2"])
def test_what_stays_broken_is_blank(cell: str) -> None:
    result = clean(cell.split("\n"))
    assert result.flaw is not None
    assert set(result.lines) == {""}


def test_line_of_the_flaw_counts_magics() -> None:
    flaw = clean(["%time x", "a = 1", "b = = 2"]).flaw
    assert flaw is not None
    assert flaw.line == 3


def test_why() -> None:
    gaps = clean(["%%time", "!ls", "a=1", "%b"]).gaps
    assert [(g.first, g.last, g.why) for g in gaps] == [
        (1, 1, Dropped.MAGIC),
        (2, 2, Dropped.MAGIC),
        (4, 4, Dropped.MAGIC),
    ]
    assert [(g.first, g.last, g.why) for g in clean(["%%bash", "a", "b"]).gaps] == [(1, 3, Dropped.CELL_MAGIC)]
