"""Loading an assignment: each broken folder is refused with the file and what is wrong in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from grader.assignments import Assignment, load, load_all
from grader.errors import AssignmentError
from grader.reports import Text

TOML = """
runtime = "numpy"
names = ["f", "Layer"]
given = ["Layer"]
banned_names = ["numpy.linalg"]
[title]
en = "A title"
zh = "标题"
[[part]]
name = "one"
asks = ["f"]
title = { en = "part one", zh = "第一部分" }
[[part]]
name = "two"
asks = ["Layer", "Layer.forward"]
banned_names = ["jax"]
banned_ops = ["Softmax"]
title = { en = "part two", zh = "第二部分" }
why = { en = 'Because $x \\le y$.', zh = '因为 $x \\le y$。' }
"""
CHECKS = '''
from grader.checks import check, close

@check(part="one", points=3)
def first(student, reference, rng):
    """One

    zh: 一
    """
    close(student.f(1.0), reference.f(1.0))

@check(part="two", points=2, requires=["first"])
def second(student, reference, rng):
    """Two

    zh: 二
    """
'''
MISTAKE = '"""You forgot.\n\nzh: 你忘了。\n"""\n\nPART = "one"\n\n\ndef f(x):\n    return 0\n'
FILES = {
    "assignment.toml": TOML,
    "checks.py": CHECKS,
    "solution.py": "def f(x):\n    return x\n\n\nclass Layer:\n    pass\n\n\nclass Other:\n    pass\n",
    "starter.py": "def f(x):\n    raise NotImplementedError\n",
    "mistakes/forgets.py": MISTAKE,
    "statement.en.md": "# English\n",
    "statement.zh.md": "# 中文\n",
}

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make(file=text, ...): a folder that loads, with some files replaced; None leaves one out."""

    def write(changes: dict[str, str | bytes | None] | None = None) -> Path:
        folder = tmp_path / "hw"
        for name, text in {**FILES, **(changes or {})}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(text, bytes):
                path.write_bytes(text)
            elif text is not None:
                path.write_text(text, encoding="utf-8")
        return folder

    return write


def test_a_whole_folder(make: Make) -> None:
    made = load(make())
    assert (made.name, made.runtime, made.max_score) == ("hw", "numpy", 5)
    assert made.title.zh == "标题"
    assert [part.name for part in made.parts] == ["one", "two"]
    assert made.asks == ("f", "Layer", "Layer.forward")
    assert made.given == {"Layer"}
    assert made.classes == {"Layer", "Other"}
    assert made.methods == {"Layer.forward"}
    assert made.part("one").banned_names == {"numpy.linalg"}
    assert made.part("two").banned_names == {"jax"}
    assert made.part("two").banned_ops == {"Softmax"}
    assert made.part("one").why is None
    assert made.part("two").why == Text(en=r"Because $x \le y$.", zh=r"因为 $x \le y$。")
    assert made.watched == {"watch": ["jax", "numpy.linalg"], "ops": ["Softmax"]}
    assert [(m.name, m.part, m.hint.en) for m in made.mistakes] == [("forgets", "one", "You forgot.")]
    assert made.mistaken_solution(made.mistakes[0]).startswith(made.solution)
    assert made.mistaken_solution(made.mistakes[0]).endswith(MISTAKE)
    assert (made.statement("en"), made.statement("zh")) == ("# English\n", "# 中文\n")


BROKEN: list[tuple[dict[str, str | bytes | None], tuple[str, ...]]] = [
    ({"assignment.toml": None}, ("hw", "assignment.toml")),
    ({"checks.py": None}, ("checks.py", "missing")),
    ({"solution.py": None}, ("solution.py", "missing")),
    ({"starter.py": None}, ("starter.py", "missing")),
    ({"solution.py": b"\xff\xfe"}, ("solution.py", "UTF-8")),
    ({"assignment.toml": b"\xff\xfe"}, ("assignment.toml", "UTF-8")),
    ({"assignment.toml": "runtime = \n[title]\n"}, ("assignment.toml", "line 1")),
    ({"assignment.toml": TOML.replace('runtime = "numpy"', "")}, ("assignment.toml", "'runtime'")),
    ({"assignment.toml": TOML.replace('runtime = "numpy"', "runtime = 3")}, ("assignment.toml", "'runtime'")),
    ({"assignment.toml": TOML.replace('"numpy"\n', '"jax"\n', 1)}, ("assignment.toml", "'jax'", "tensorflow")),
    ({"assignment.toml": TOML.replace("[title]", "[titel]")}, ("assignment.toml", "'title'")),
    ({"assignment.toml": TOML.replace('zh = "标题"', "")}, ("assignment.toml", "zh")),
    ({"assignment.toml": TOML.split("[[part]]")[0]}, ("assignment.toml", "'part'")),
    ({"assignment.toml": TOML.replace('name = "one"', "")}, ("assignment.toml", "name")),
    ({"assignment.toml": TOML.replace('asks = ["f"]', 'asks = "f"')}, ("assignment.toml", "asks")),
    (
        {"assignment.toml": TOML.replace('title = { en = "part one", zh = "第一部分" }', "")},
        ("assignment.toml", "part one", "title"),
    ),
    (
        {"assignment.toml": TOML.replace("why = {", "why = { es = 'x',").replace("zh = '", "cn = '")},
        ("two", "why", "zh"),
    ),
    ({"assignment.toml": TOML.replace("why = {", "why = 'words' # {")}, ("assignment.toml", "part two", "why")),
    ({"assignment.toml": TOML.replace("en = 'Because", "en = 1, es = 'Because")}, ("part two", "why", "en")),
    ({"assignment.toml": TOML.replace('name = "two"', 'name = "three"')}, ("checks.py", "second", "'two'")),
    (
        {"assignment.toml": TOML + '[[part]]\nname = "idle"\nasks = []\ntitle = { en = "e", zh = "中" }\n'},
        ("checks.py", "'idle'"),
    ),
    ({"checks.py": "x = 1"}, ("checks.py", "no check")),
    ({"checks.py": "def f(:"}, ("checks.py", "line 1")),
    ({"checks.py": "import nothing_like_this"}, ("checks.py", "nothing_like_this")),
    ({"checks.py": CHECKS.replace("points=3", "points=-3")}, ("checks.py", "points")),
    ({"checks.py": CHECKS.replace("points=3", "point=3")}, ("checks.py", "point")),
    ({"checks.py": CHECKS.replace("    zh: 一\n", "")}, ("checks.py", "first", "zh:")),
    ({"checks.py": CHECKS.replace('["first"]', '["third"]')}, ("checks.py", "second", "'third'")),
    ({"checks.py": CHECKS.replace('["first"]', '["second"]')}, ("checks.py", "second", "no earlier check")),
    ({"checks.py": CHECKS.replace('part="one"', 'part="six"')}, ("checks.py", "first", "'six'")),
    ({"solution.py": "def f(:"}, ("solution.py", "line 1")),
    ({"mistakes/forgets.py": MISTAKE.replace('PART = "one"', "")}, ("forgets.py", "PART")),
    ({"mistakes/forgets.py": MISTAKE.replace('"one"', "1")}, ("forgets.py", "PART")),
    ({"mistakes/forgets.py": MISTAKE.replace('"one"', '"six"')}, ("forgets.py", "'six'")),
    ({"mistakes/forgets.py": MISTAKE.replace("zh:", "")}, ("forgets.py", "docstring")),
    ({"mistakes/forgets.py": "def f(:"}, ("forgets.py", "line 1")),
]
# Folders whose mistake is found, but without the words that would help.
UNNOTICED: dict[str, tuple[dict[str, str | bytes | None], tuple[str, ...]]] = {
    "banned as text": (
        {"assignment.toml": TOML.replace('["numpy.linalg"]', '"numpy.linalg"')},
        ("assignment.toml", "banned_names"),
    ),
    "banned ops as text": (
        {"assignment.toml": TOML.replace('["Softmax"]', '"Softmax"')},
        ("assignment.toml", "banned_ops"),
    ),
    "given as text": (
        {"assignment.toml": TOML.replace('given = ["Layer"]', 'given = "Layer"')},
        ("assignment.toml", "given"),
    ),
    "given as number": (
        {"assignment.toml": TOML.replace('given = ["Layer"]', "given = 5")},
        ("assignment.toml", "given"),
    ),
    "asks of numbers": (
        {"assignment.toml": TOML.replace('asks = ["f"]', "asks = [1]")},
        ("assignment.toml", "asks"),
    ),
    "part without a table": (
        {"assignment.toml": TOML.split("[title]")[0] + 'part = ["one"]\n[title]\nen = "e"\nzh = "中"'},
        ("assignment.toml", "part"),
    ),
    "two parts of one name": (
        {"assignment.toml": TOML + '[[part]]\nname = "one"\nasks = []\ntitle = { en = "e", zh = "中" }\n'},
        ("assignment.toml", "two parts"),
    ),
    "two checks of one name": (
        {"checks.py": CHECKS + CHECKS.replace("One", "Another")},
        ("checks.py", "first"),
    ),
    "an error of another kind": ({"checks.py": "1 / 0"}, ("checks.py", "ZeroDivisionError")),
    "given that nobody asks": (
        {"assignment.toml": TOML.replace('given = ["Layer"]', 'given = ["Laver"]')},
        ("assignment.toml", "Laver"),
    ),
}


def refused(folder: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(AssignmentError) as caught:
        load(folder)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(("changes", "words"), BROKEN, ids=[" ".join(words) for _, words in BROKEN])
def test_a_broken_folder(make: Make, changes: dict[str, str | bytes | None], words: tuple[str, ...]) -> None:
    refused(make(changes), words)


@pytest.mark.parametrize(("changes", "words"), UNNOTICED.values(), ids=UNNOTICED.keys())
def test_a_contradiction(make: Make, changes: dict[str, str | bytes | None], words: tuple[str, ...]) -> None:
    refused(make(changes), words)


class TestVersion:
    @pytest.mark.parametrize("name", [name for name in FILES if name.endswith((".py", ".toml"))])
    def test_changes_with_every_source_file(self, make: Make, name: str) -> None:
        before = load(make()).version
        assert load(make({name: FILES[name] + "\n# a comment\n"})).version != before
        assert load(make()).version == before

    def test_changes_with_a_new_mistake_and_with_its_name(self, make: Make) -> None:
        before = load(make()).version
        folder = make({"mistakes/another.py": MISTAKE})
        more = load(folder).version
        (folder / "mistakes" / "another.py").rename(folder / "mistakes" / "renamed.py")
        assert len({before, more, load(folder).version}) == 3

    @pytest.mark.parametrize("name", ["statement.en.md", "statement.zh.md", "notes.txt"])
    def test_does_not_change_with_words(self, make: Make, name: str) -> None:
        before = load(make()).version
        assert load(make({name: "other words"})).version == before


def test_a_missing_statement(make: Make) -> None:
    folder = make()
    made = load(folder)
    (folder / "statement.zh.md").unlink()
    with pytest.raises(AssignmentError, match=r"statement\.zh\.md"):
        made.statement("zh")


def test_load_all(make: Make) -> None:
    folder = make()
    (folder.parent / "no assignment").mkdir()
    assert list(load_all(folder.parent)) == ["hw"]
    with pytest.raises(AssignmentError, match="GRADER_REFERENCE_DIR"):
        load_all(folder.parent / "nowhere")


def test_the_assignments_here(assignments: dict[str, Assignment]) -> None:
    assert {"numpy_autodiff", "tensorflow_basics"} <= set(assignments)
    for made in assignments.values():
        assert made.max_score == 100
        assert made.mistakes
        assert made.statement("en")
        assert any("\u4e00" <= c <= "\u9fff" for c in made.statement("zh"))
        assert {check.part for check in made.checks} == {part.name for part in made.parts}
        assert {m.part for m in made.mistakes} <= {part.name for part in made.parts}


def test_every_part_here_says_why(assignments: dict[str, Assignment]) -> None:
    for part in (part for made in assignments.values() for part in made.parts):
        assert part.why is not None, part.name
        assert any("\u4e00" <= c <= "\u9fff" for c in part.why.zh)
        assert "\n" not in part.why.zh, "a line break would become a space"
        for text in (part.why.en, part.why.zh):
            pieces = text.split("$")
            assert len(pieces) % 2 == 1, f"{part.name}: a $ without its partner"
            assert len(pieces) > 1, f"{part.name}: two sentences of mathematics"
        assert sorted(set(part.why.en.split("$")[1::2])) == sorted(set(part.why.zh.split("$")[1::2]))
