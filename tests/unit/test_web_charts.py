"""Charts: what they say, and that nothing in them is refused by a strict content policy."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from grader.drawing import ATTRIBUTES, ELEMENTS, _svg
from grader.reports import Language
from grader.web import charts
from grader.web.charts import AttemptCount, MistakeCount, PassRate

HOSTILE = "<script>alert(1)</script> \"' & http://example.org/x.js ]]> 归一化"
SCORES = [0.0, 12.5, 60.0, 90.0, 90.0, 95.0, 100.0, 100.0]
RATES = [
    PassRate(title="softmax agrees with tf.nn.softmax on random logits", passed=70, of=80),
    PassRate(title="sigmoid is 0 and 1, not NaN", passed=20, of=80),
    PassRate(title="nobody handed in", passed=0, of=0),
]
MISTAKES = [
    MistakeCount(hint="Your softmax normalises over axis 0.", students=3),
    MistakeCount(hint="Your loss sums.", students=14),
    MistakeCount(hint="Nobody makes this one.", students=0),
]
ATTEMPTS = [
    AttemptCount(attempts=1, students=4),
    AttemptCount(attempts=2, students=3),
    AttemptCount(attempts=12, students=1),
]


def caption(chart: Markup) -> str:
    found = re.search(r"<figcaption>(.*?)</figcaption>", chart, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def drawings(chart: Markup) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg.*?</svg>", chart, re.DOTALL)]


def words(drawing: ElementTree.Element) -> str:
    return " ".join(" ".join(element.itertext()) for element in drawing.iter("text"))


def every_chart(lang: Language, hint: str = "Your loss sums.") -> list[Markup]:
    return [
        charts.histogram(SCORES, 100, lang),
        charts.pass_rates([*RATES, PassRate(title=hint, passed=1, of=80)], lang),
        charts.mistake_counts([*MISTAKES, MistakeCount(hint=hint, students=2)], lang),
        charts.attempts_until_full(ATTEMPTS, 5, lang),
    ]


def test_titles_state_the_finding() -> None:
    assert [caption(chart) for chart in every_chart("en")] == [
        "Half of the class has 90 or more of 100 points",
        "Hardest, passed by 1 %: Your loss sums.",
        "Most common, 14 students: Your loss sums.",
        "8 students have full marks, half of them within 1 attempt; 5 not yet",
    ]
    assert [caption(chart) for chart in every_chart("zh")] == [
        "一半的学生得到 90 分或更高（满分 100 分）",
        "最难的一项，通过率 1 %：Your loss sums.",
        "最常见，14 人：Your loss sums.",
        "8 人得了满分，其中一半用了不超过 1 次；5 人还没有满分",
    ]


def test_findings_at_the_ends_of_the_scale() -> None:
    assert caption(charts.histogram([7.0, 7.0], 7, "en")) == "Everybody has full marks"
    assert caption(charts.pass_rates([PassRate(title="x", passed=3, of=3)], "en")) == "Everybody passes every check"
    almost = charts.pass_rates([PassRate(title="x", passed=999, of=1000)], "en")
    assert caption(almost) == "Hardest, passed by 99 %: x"


@given(st.lists(st.integers(0, 100), min_size=1, max_size=50))
def test_half_of_the_class_has_the_middle_score_or_more(scores: list[int]) -> None:
    middle = charts.middle_score(scores)
    assert 2 * sum(score >= middle for score in scores) >= len(scores)
    assert 2 * sum(score > middle for score in scores) <= len(scores)


def test_nothing_to_show_is_no_chart() -> None:
    assert charts.histogram([], 100, "en") == ""
    assert charts.pass_rates([PassRate(title="x", passed=0, of=0)], "en") == ""
    assert charts.mistake_counts([MistakeCount(hint="x", students=0)], "en") == ""
    assert charts.attempts_until_full([], 3, "en") == ""


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_strict_content_policy_lets_everything_through(lang: Language) -> None:
    for chart in every_chart(lang, HOSTILE):
        found = drawings(chart)
        assert len(found) == 2
        for one in found:
            for element in one.iter():
                assert element.tag in ELEMENTS
                assert set(element.attrib) <= ATTRIBUTES | {"role", "aria-label", "class"}
                assert not any(
                    "url(" in v or v.startswith("data:") for k, v in element.attrib.items() if k != "aria-label"
                )
        page = str(chart)
        assert "<script" not in page
        assert "<style" not in page
        outside = re.sub(r'aria-label="[^"]*"|>[^<]*<', "><", page)
        assert not re.search(r"\b(id|style|href|src|on\w+)\s*=|http", outside)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_chart_is_named_has_axes_and_the_colour_of_the_page(lang: Language) -> None:
    for chart, unit in zip(every_chart(lang), ("学生", "%", "学生", "学生"), strict=True):
        for drawing in drawings(chart):
            assert drawing.get("role") == "img"
            assert drawing.get("aria-label") == caption(chart)
            assert {text.get("fill") for text in drawing.iter("text")} == {"currentColor"}
            assert (unit if lang == "zh" else unit.replace("学生", "students")) in words(drawing)


def test_a_chart_has_its_numbers_as_a_table() -> None:
    rates = charts.pass_rates(RATES, "en")
    cells = re.findall(r'<th scope="row">(.*?)</th><td class="num">(.*?)</td>', rates)
    assert cells == [
        ("sigmoid is 0 and 1, not NaN", "25 %, 20 of 80"),
        ("softmax agrees with tf.nn.softmax on random logits", "88 %, 70 of 80"),
    ]


def test_rates_stand_from_the_lowest_up_and_mistakes_from_the_most_common_down() -> None:
    for drawing in drawings(charts.pass_rates(RATES, "en")):
        assert words(drawing).index("sigmoid is 0") < words(drawing).index("softmax agrees")
    for drawing in drawings(charts.mistake_counts(MISTAKES, "en")):
        assert words(drawing).index("Your loss sums.") < words(drawing).index("axis 0")
        assert "Nobody" not in words(drawing)


def test_every_student_is_in_one_bin() -> None:
    bins = charts._bins([0.0, 4.999, 5.0, 99.9, 100.0], 100, 20)
    assert [count for _, _, count in bins] == [2, 1, *[0] * 17, 2]
    assert bins[0][:2] == (0, 5)
    assert bins[-1][:2] == (95, 100)


def test_many_attempts_share_a_column() -> None:
    chart = charts.attempts_until_full(ATTEMPTS, 0, "en")
    assert re.findall(r'<th scope="row">(.*?)</th><td class="num">(.*?)</td>', chart)[-1] == ("10+", "1")


def test_the_same_chart_is_drawn_once() -> None:
    charts.histogram(SCORES, 100, "en")
    before = _svg.cache_info()
    charts.histogram(list(reversed(SCORES)), 100, "en")
    after = _svg.cache_info()
    assert after.hits == before.hits + 2
    assert after.misses == before.misses
