"""Lines of so many columns, in both languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.wrapping import balanced, display_width, wrap


@pytest.mark.parametrize(
    ("text", "columns", "lines"),
    [
        ("softmax stays finite for logits", 12, ["softmax", "stays finite", "for logits"]),
        ("你的函数对第零个轴归一化。", 10, ["你的函数对", "第零个轴归", "一化。"]),
        ("softmax 沿最后一个轴", 12, ["softmax 沿最", "后一个轴"]),
        ("tf.nn.softmax_cross_entropy", 10, ["tf.nn.soft", "max_cross_", "entropy"]),
        ("", 10, [""]),
    ],
)
def test_labels_are_wrapped(text: str, columns: int, lines: list[str]) -> None:
    assert wrap(text, columns) == lines


def test_no_word_is_left_alone_on_the_last_line() -> None:
    text = "softmax_ce is a number when a class that is not the label has probability exactly 0"
    assert wrap(text, 82) == [text.removesuffix(" 0"), "0"]
    assert balanced(text, 82) == [
        "softmax_ce is a number when a class that",
        "is not the label has probability exactly 0",
    ]
    assert balanced("one line", 82) == ["one line"]


@given(st.text(alphabet="ab _。中文，(", max_size=60), st.integers(6, 30))
def test_wrapped_lines_lose_no_character_and_are_not_too_long(text: str, columns: int) -> None:
    lines = wrap(text, columns)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(display_width(line) <= columns + 2 for line in lines if "。" not in line and "，" not in line)
