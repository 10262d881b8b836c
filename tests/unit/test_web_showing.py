"""A report becomes what its page shows: values cell by cell, the first thing to fix, the bar, the command."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.assignments import Part
from grader.reports import CheckResult, Json, PartScore, Report, ReportStatus, Status, Text, Worst
from grader.web import changes, showing
from grader.web.showing import compare, report_view


def cells(block: showing.Block | None) -> list[list[str]]:
    assert block is not None
    return [[cell.text for cell in row.cells] for row in block.rows]


def worst(block: showing.Block | None) -> list[str]:
    assert block is not None
    return [cell.text for row in block.rows for cell in row.cells if cell.worst]


def test_one_number_stands_beside_the_other() -> None:
    found = compare(0.339668, 0.0485874, (), 0.291081)
    assert (cells(found.got), cells(found.expected)) == ([["0.339668"]], [["0.0485874"]])
    assert found.aligned
    assert found.beside
    assert (found.at, found.have, found.want, found.off) == ("", "0.339668", "0.0485874", "0.291081")
    assert worst(found.got) == ["0.339668"]
    assert worst(found.expected) == []


def test_matrices_are_aligned_and_the_worst_cell_is_marked() -> None:
    found = compare([[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 9, 6]], (1, 1), 4.0)
    assert found.aligned
    assert not found.beside
    assert [row.label for row in found.got.rows] == ["[0]", "[1]"]
    assert worst(found.got) == ["5"]
    assert (found.at, found.have, found.want, found.off) == ("[1, 1]", "5", "9", "4")


def test_other_shapes_stand_apart() -> None:
    found = compare([[1], [2]], [1, 2], None, None)
    assert not found.aligned
    assert found.expected is not None
    assert (found.got.shape, found.expected.shape) == ("(2, 1)", "(2,)")


def test_a_long_vector_goes_on_in_the_next_row() -> None:
    found = compare(list(range(20)), list(range(20)), (17,), 0.5)
    assert [row.label for row in found.got.rows] == ["[0]", "[8]", "[16]"]
    assert worst(found.got) == ["17"]


def test_of_many_rows_those_around_the_worst_are_shown_on_both_sides() -> None:
    rows = [[at, at] for at in range(30)]
    found = compare(rows, rows, (28, 1), 1.0)
    assert worst(found.got) == ["28"]
    assert found.expected is not None
    assert [row.label for row in found.got.rows] == [row.label for row in found.expected.rows]
    assert found.got.more == 20


def test_words_for_what_is_no_number() -> None:
    assert cells(compare("nan", 0.5, (), float("inf")).got) == [["nan"]]
    assert compare("nan", 0.5, (), float("inf")).off == ""
    assert compare(None, [1, 2], None, None).got.text == "None"
    assert compare("<object of a class with a long name>", 1, None, None).got.text.startswith("<object")
    assert compare([[1, 2], [3]], [1, 2], None, None).got.text == "[[1, 2], [3]]"
    assert compare([], [1], None, None).got.text == "[]"
    assert compare({"a": 1}, 1, None, None).got.text == '{"a": 1}'
    assert compare("nan", None, None, None).expected is None


def test_a_large_array_is_shown_by_its_first_values() -> None:
    large = {"shape": [100, 5], "dtype": "float64", "first_values": [0.5, 1.0]}
    found = compare(large, {**large, "first_values": [0.5, 2.0]}, (40, 1), 1.0)
    assert found.aligned
    assert found.got.first_only
    assert (found.got.shape, found.have) == ("(100, 5)", "")


def test_as_many_digits_as_tell_two_numbers_apart() -> None:
    assert compare(0.12345678, 0.12345699, (), 2.1e-7).have == "0.12345678"
    assert compare(0.5, 0.25, (), 0.25).have == "0.5"


VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=60,
)


@given(VALUES, VALUES, st.none() | st.lists(st.integers(0, 5), max_size=3), st.none() | st.floats())
def test_any_two_values_can_be_shown(got: Json, expected: Json, index: list[int] | None, off: float | None) -> None:
    found = compare(got, expected, index, off)
    assert len(found.got.rows) <= showing.MOST_ROWS
    assert found.got.rows or found.got.text is not None
    if found.aligned:
        assert found.expected is not None
        assert [len(row.cells) for row in found.got.rows] == [len(row.cells) for row in found.expected.rows]


def check(name: str, status: Status, points: float, message: str = "", **more: Json) -> CheckResult:
    text = Text(en=message, zh=message) if message else None
    got = points if status is Status.PASSED else 0
    title = Text(en=f"{name} is right", zh=f"{name} 正确")
    return CheckResult(
        id=name, part="p", title=title, status=status, points=got, max_points=points, message=text, **more
    )


def report(*checks: CheckResult, file: str = "my file.py") -> Report:
    score, most = sum(c.points for c in checks), sum(c.max_points for c in checks)
    parts = (PartScore(name="p", score=score, max_score=most),)
    return Report(
        assignment="sums", assignment_version="v", status=ReportStatus.GRADED, score=score, max_score=most,
        parts=parts, checks=checks, seed="0" * 32, file=file,
    )  # fmt: skip


PART = Part(
    name="p", title=Text(en="the part", zh="这一部分"), asks=("f",), why=Text(en="Since $x^2$.", zh="因为 $x^2$。")
)


def test_what_costs_most_comes_first_and_failures_before_what_was_not_reached() -> None:
    shown = report_view(
        report(
            check("a", Status.NOT_REACHED, 50, "Not run."),
            check("b", Status.FAILED, 5, "Off."),
            check("c", Status.FAILED, 10, "Off.", got=1, expected=2),
            check("d", Status.PASSED, 99),
        ),
        [PART],
        "en",
    )
    assert shown.first is not None
    assert shown.first.id == "c"
    assert (shown.passed, shown.failed, shown.not_reached) == (1, 2, 1)
    assert shown.parts[0].title == "the part"
    assert shown.first.why is not None
    assert "<math" in shown.first.why


def test_the_mathematics_stands_once_and_where_it_explains_something() -> None:
    off, named = {"got": 1, "expected": 2}, {"mistake": "m"}
    shown = report_view(
        report(
            check("raised", Status.FAILED, 1, "f raised E."),
            check("off", Status.FAILED, 5, "Off.", **off),
            check("named", Status.FAILED, 9, "Swapped.", **named),
        ),
        [PART],
        "en",
    )
    assert shown.first is not None
    assert (shown.first.id, shown.first.why is None) == ("named", False)
    assert [c.why for c in shown.parts[0].checks] == [None, None, None]
    below = report_view(
        report(
            check("raised", Status.FAILED, 9, "f raised E."),
            check("off", Status.FAILED, 5, "Off.", **off),
            check("named", Status.FAILED, 1, "Swapped.", **named),
        ),
        [PART],
        "en",
    )
    assert [c.why is None for c in below.parts[0].checks] == [True, False, True]


def test_a_function_that_is_not_there_was_called_with_nothing() -> None:
    call = {"call": "f", "args": [1]}
    missing = check("a", Status.FAILED, 1, "f is not defined; your file defines g.", input=call)
    raised = check("a", Status.FAILED, 1, "f raised NameError: name 'np' is not defined; no.", input=call)
    assert showing.check_view(missing, "zh").calls == ()
    assert showing.check_view(raised, "en").calls == ("f(1)",)


def test_full_marks_leave_nothing_to_fix() -> None:
    assert report_view(report(check("a", Status.PASSED, 1)), [], "zh").first is None


@pytest.mark.parametrize(
    ("message", "said", "line", "more"),
    [
        ("f raised E: no in line 3: `x = y`. Do this.", "f raised E: no in line 3.", "x = y", "Do this."),
        ("f 抛出了 E（第 3 行）: `x = y`。", "f 抛出了 E（第 3 行）.", "x = y", None),
        ("np is used; line 1 says `import numpy as npm`. Use one.", None, "", None),
        ("The result is 1, expected 2.", "The result is 1, expected 2.", "", None),
        ("f raised E: `a` in line 2: `s = '`.'`.", "f raised E: <code>a</code> in line 2.", "s = '`.'", None),
    ],
)
def test_the_students_own_line_stands_by_itself(message: str, said: str | None, line: str, more: str | None) -> None:
    shown = showing.check_view(check("a", Status.FAILED, 1, message), "en")
    assert said is None or str(shown.said) == said
    assert shown.line == line
    assert (None if shown.more is None else str(shown.more)) == more


def test_a_hidden_check_shows_no_value_whatever_the_record_holds() -> None:
    made = check("a", Status.FAILED, 1, "Off.", got=[1], expected=[2], worst=Worst(index=(0,), difference=1.0),
                 input={"call": "f", "args": [1]}, visible=False)  # fmt: skip
    shown = showing.check_view(made, "en")
    assert (shown.values, shown.calls) == (None, ())


def test_the_command_repeats_the_grading_and_quotes_the_file() -> None:
    command = report_view(report(check("a", Status.PASSED, 1)), [], "en").command
    assert command == f"grader grade 'my file.py' -a sums --seed {'0' * 32}"


def test_the_bar_is_as_wide_as_the_points() -> None:
    parts = [
        showing.PartView(name="a", title="a", score=10, max_score=20, checks=()),
        showing.PartView(name="b", title="b", score=0, max_score=80, checks=()),
    ]
    first, second = showing.score_bar(parts)
    assert (first.start, first.width, first.filled) == (0, 198.8, 99.4)
    assert second.start + second.width == pytest.approx(1000)
    assert showing.score_bar([]) == ()


# Changes between two files --------------------------------------------------------------------------------------------

LINES = st.lists(st.sampled_from("abc"), max_size=14).map("\n".join)


@given(LINES, LINES)
def test_a_comparison_holds_both_files(before: str, after: str) -> None:
    lines = changes._all_lines(before.splitlines(), after.splitlines())
    assert [line.text for line in lines if line.before is not None] == before.splitlines()
    assert [line.text for line in lines if line.after is not None] == after.splitlines()
    assert all((line.before is None) == (line.kind == "added") for line in lines)


def test_changes_are_few_and_have_their_surroundings() -> None:
    before = "\n".join(f"line {n}" for n in range(40))
    lines = changes.compare_sources(before, before.replace("line 20", "other"))
    kinds = [line.kind for line in lines]
    assert kinds == ["gap", "same", "same", "same", "removed", "added", "same", "same", "same", "gap"]
    assert changes.compare_sources(before, before) == ()


def test_comparing_takes_bounded_time_whatever_the_files_hold() -> None:
    before = "\n".join(str(n % 7) for n in range(8000))
    after = "\n".join(str(n * n % 11) for n in range(8000))
    started = time.process_time()
    lines = changes.compare_sources(before, after)
    assert time.process_time() - started < 5
    assert sum(line.kind == "added" for line in lines) <= 8000
