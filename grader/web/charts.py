"""Charts for staff: plain numbers -> Vega-Lite (through Altair) -> SVG that a strict content policy lets through.

Every chart is drawn twice, for a wide and for a narrow screen, and the stylesheet shows one: scaling one drawing down
to a phone would make its words too small to read. The drawing keeps no style, script, id or address of any kind; text
is in `currentColor`, fills are Okabe-Ito colours that the stylesheet may lighten at night. Below it stand the numbers,
as a table in a fold, for whoever cannot see or does not trust a picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from grader.drawing import BLUE, FAINT, GREEN, INK, ORANGE, svg
from grader.reports import Language, Text
from grader.wrapping import balanced, display_width

if TYPE_CHECKING:
    import altair

    Drawing = altair.LayerChart | altair.FacetChart

WIDE, NARROW = 580, 318  # pixels
LINE = 16  # height of a line of text in pixels
MOST_BARS = 12  # of mistakes: those of one or two students are in the list below the chart


@dataclass(frozen=True, kw_only=True, slots=True)
class PassRate:
    """One check. title: in the language of the page. of: students whose counting attempt was graded."""

    title: str
    passed: int
    of: int

    @property
    def share(self) -> float:
        return self.passed / self.of if self.of else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class MistakeCount:
    """One known mistake. hint: what it is, in the language of the page."""

    hint: str
    students: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptCount:
    """How many students first had full marks with this attempt."""

    attempts: int
    students: int


def histogram(scores: Sequence[float], max_score: float, lang: Language) -> Markup:
    """How many students have which score, in 20 bins (10 for a small class). Empty without a score."""
    if not scores:
        return Markup("")
    bins = _bins(scores, max_score, 20 if len(scores) >= 60 else 10)
    middle = middle_score(scores)
    most, half = _number(max_score), _number(middle)
    if min(scores) >= max_score:
        title = Text(en="Everybody has full marks", zh="所有人都得了满分")
    else:
        title = Text(
            en=f"Half of the class has {half} or more of {most} points",
            zh=f"一半的学生得到 {half} 分或更高（满分 {most} 分）",
        )
    x_title = Text(en=f"score (points of {most})", zh=f"得分（满分 {most} 分）").say(lang)
    students = Text(en="students", zh="学生人数").say(lang)
    rows = [(f"{_number(low)}–{_number(high)}", str(count)) for low, high, count in bins]

    def draw(width: int) -> Drawing:
        return _histogram(bins, max_score, middle, width=width, x_title=x_title, y_title=students, lang=lang)

    return _figure(title.say(lang), draw, (Text(en="score", zh="得分").say(lang), students), rows, lang)


def pass_rates(rates: Sequence[PassRate], lang: Language) -> Markup:
    """Which checks students fail: bars from the lowest rate up. Empty without a check or a student."""
    rates = sorted((rate for rate in rates if rate.of), key=lambda rate: rate.share)
    if not rates:
        return Markup("")
    lowest = rates[0]
    if lowest.share == 1:
        title = Text(en="Everybody passes every check", zh="所有人都通过了每一项检查")
    else:
        share = _percent(lowest.share)
        title = Text(en=f"Hardest, passed by {share}: {lowest.title}", zh=f"最难的一项，通过率 {share}：{lowest.title}")
    bars = [
        _Bar(
            label=rate.title,
            value=100 * rate.share,
            says=Text(
                en=f"{_percent(rate.share)}, {rate.passed} of {rate.of}",
                zh=f"{_percent(rate.share)}，{rate.of} 人中 {rate.passed} 人",
            ).say(lang),
        )
        for rate in rates
    ]
    x_title = Text(en="students who pass (%)", zh="通过的学生（%）").say(lang)
    heads = (Text(en="check", zh="检查").say(lang), Text(en="passed", zh="通过").say(lang))
    rows = [(bar.label, bar.says) for bar in bars]
    return _figure(title.say(lang), lambda w: _bars(bars, 100, BLUE, x_title, w), heads, rows, lang)


def mistake_counts(counts: Sequence[MistakeCount], lang: Language) -> Markup:
    """How many students made which known mistake, the most common first. Empty without one."""
    counts = sorted((count for count in counts if count.students), key=lambda count: -count.students)
    if not counts:
        return Markup("")
    first = counts[0]
    title = Text(
        en=f"Most common, {first.students} {_plural(first.students, 'student')}: {first.hint}",
        zh=f"最常见，{first.students} 人：{first.hint}",
    )
    bars = [_Bar(label=count.hint, value=count.students, says=str(count.students)) for count in counts[:MOST_BARS]]
    students = Text(en="students", zh="学生人数").say(lang)
    heads = (Text(en="mistake", zh="错误").say(lang), students)
    rows = [(count.hint, str(count.students)) for count in counts]
    return _figure(title.say(lang), lambda w: _bars(bars, first.students, ORANGE, students, w), heads, rows, lang)


def attempts_until_full(counts: Sequence[AttemptCount], without: int, lang: Language) -> Markup:
    """With which attempt students first had full marks. without: how many have none yet. Empty when nobody has."""
    by_attempt = {count.attempts: count.students for count in counts if count.students}
    total = sum(by_attempt.values())
    if not total:
        return Markup("")
    half = next(a for a in sorted(by_attempt) if 2 * sum(s for b, s in by_attempt.items() if b <= a) >= total)
    title = Text(
        en=f"{total} {_plural(total, 'student')} {'has' if total == 1 else 'have'} full marks, half of them within "
        f"{half} {_plural(half, 'attempt')}; {without} not yet",
        zh=f"{total} 人得了满分，其中一半用了不超过 {half} 次；{without} 人还没有满分",
    )
    attempts, students = Text(en="attempt", zh="第几次提交").say(lang), Text(en="students", zh="学生人数").say(lang)
    columns = [(str(a), by_attempt.get(a, 0)) for a in range(1, min(max(by_attempt), 9) + 1)]
    if max(by_attempt) > 9:
        columns.append((Text(en="10+", zh="≥10").say(lang), sum(s for a, s in by_attempt.items() if a > 9)))
    rows = [(label, str(count)) for label, count in columns]
    return _figure(
        title.say(lang), lambda w: _columns(columns, attempts, students, w), (attempts, students), rows, lang
    )


# Drawings -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bar:
    """A horizontal bar. says: what stands at its end."""

    label: str
    value: float
    says: str


def _histogram(
    bins: Sequence[tuple[float, float, int]],
    max_score: float,
    middle: float,
    *,
    width: int,
    x_title: str,
    y_title: str,
    lang: Language,
) -> Drawing:
    import altair as alt  # 0.3 s, which the start of the service should not pay

    gap = max_score / 400
    values = [
        {"low": low + gap, "high": high - gap, "at": (low + high) / 2, "count": count, "zero": 0}
        for low, high, count in bins
        if count
    ]
    tallest = max(count for _, _, count in bins)
    scale = alt.Scale(domain=[0, max_score], nice=False)
    steps = [max_score * i / (10 if width > 400 else 5) for i in range(11 if width > 400 else 6)]
    x_axis = alt.Axis(title=x_title, values=steps, format="~f", grid=False)
    y = alt.Y("count:Q", title=y_title, axis=_count_axis(alt, tallest), scale=_room_above(alt, tallest))
    base = alt.Chart(alt.InlineData(values=values))
    bars = base.mark_bar(color=BLUE).encode(x=alt.X("low:Q", scale=scale, axis=x_axis), x2="high:Q", y=y, y2="zero:Q")
    labels = base.mark_text(dy=-6, color=INK, fontSize=11 if width > 400 else 10)
    says = labels.encode(x=alt.X("at:Q", scale=scale), y="count:Q", text="count:Q")
    half = alt.Chart(alt.InlineData(values=[{"at": middle, "top": tallest * 1.28}]))
    rule = half.mark_rule(color=FAINT, strokeDash=[3, 3]).encode(x=alt.X("at:Q", scale=scale))
    left = middle > max_score / 2
    word = Text(en=f"median {_number(middle)}", zh=f"中位数 {_number(middle)}").say(lang)
    mark = half.mark_text(align="right" if left else "left", dx=-5 if left else 5, baseline="top", color=INK, text=word)
    named = mark.encode(x=alt.X("at:Q", scale=scale), y="top:Q")
    return _dressed(alt, alt.layer(rule, bars, says, named), width, 200)


def _columns(columns: Sequence[tuple[str, int]], x_title: str, y_title: str, width: int) -> Drawing:
    import altair as alt

    values = [{"label": label, "count": count} for label, count in columns]
    tallest = max(count for _, count in columns)
    x = alt.X("label:N", sort=None, axis=alt.Axis(title=x_title, labelAngle=0, ticks=False))
    y = alt.Y("count:Q", title=y_title, axis=_count_axis(alt, tallest), scale=_room_above(alt, tallest))
    base = alt.Chart(alt.InlineData(values=values)).encode(x=x, y=y)
    bars = base.mark_bar(color=GREEN, width={"band": 0.7})
    labels = base.mark_text(dy=-6, color=INK, fontSize=11).encode(text="count:Q")
    return _dressed(alt, alt.layer(bars, labels), width, 170)


def _bars(bars: Sequence[_Bar], most: float, colour: str, x_title: str, width: int) -> Drawing:
    """Each label stands above its bar, so that a whole sentence fits on a telephone too. Positions are pixels."""
    import altair as alt

    values, y = [], 0
    for bar in bars:
        lines = balanced(bar.label, (width - 8) // 7)
        y += LINE * len(lines)
        row = {"label": "\n".join(lines), "text_y": y - LINE * len(lines) + 2, "y": y + 1, "y2": y + 11}
        values.append({**row, "value": bar.value, "end": most, "zero": 0, "says": bar.says, "middle": y + 6})
        y += 11 + LINE
    longest = max(display_width(bar.says) for bar in bars)
    scale = alt.Scale(domain=[0, most], range=[0, width - 10 - 7 * longest], nice=False)
    few = {"values": list(range(round(most) + 1))} if most < 4 else {"tickCount": 4}  # whole numbers, each once
    axis = alt.Axis(title=x_title, tickMinStep=1, format="d", grid=False, titleAnchor="start", **few)

    def at(field: str) -> Any:
        return alt.Y(f"{field}:Q", scale=None, axis=None)

    base = alt.Chart(alt.InlineData(values=values))
    track = base.mark_bar(color=FAINT, opacity=0.22).encode(
        x=alt.X("zero:Q", scale=scale, axis=axis), x2="end:Q", y=at("y"), y2="y2:Q"
    )
    drawn = base.mark_bar(color=colour).encode(x=alt.X("zero:Q", scale=scale), x2="value:Q", y=at("y"), y2="y2:Q")
    text = base.mark_text(align="left", baseline="top", color=INK, lineBreak="\n", lineHeight=LINE, fontSize=13)
    labels = text.encode(x=alt.X("zero:Q", scale=scale), y=at("text_y"), text="label:N")
    end = base.mark_text(align="left", baseline="middle", dx=7, color=INK, fontSize=12)
    says = end.encode(x=alt.X("end:Q", scale=scale), y=at("middle"), text="says:N")
    return _dressed(alt, alt.layer(track, drawn, labels, says), width, y - 6)


def _count_axis(alt: Any, tallest: float) -> Any:
    """Counts stand on the bars already, so the axis names its unit and little more."""
    values = [0, tallest]
    return alt.Axis(
        values=values, format="d", grid=False, titleAngle=0, titleAlign="left", titleAnchor="end", titleY=-14
    )


def _room_above(alt: Any, tallest: float) -> Any:
    return alt.Scale(domain=[0, tallest * 1.28], nice=False)


def _dressed(alt: Any, chart: Drawing, width: int, height: int) -> Drawing:
    dressed: Drawing = (
        chart.properties(width=width, height=height, background="transparent", autosize=alt.AutoSizeParams(type="pad"))
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=INK,
            titleColor=INK,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            domainColor=FAINT,
            tickColor=FAINT,
            titlePadding=8,
        )
    )
    return dressed


# From a specification to markup ---------------------------------------------------------------------------------


def _figure(
    title: str,
    draw: Callable[[int], Drawing],
    heads: tuple[str, str],
    rows: Iterable[tuple[str, str]],
    lang: Language,
) -> Markup:
    """The title as a caption, both drawings, and the numbers."""
    drawings = Markup("").join(
        Markup('<div class="chart-drawing chart-{}">{}</div>').format(size, Markup(svg(draw(width).to_dict(), title)))
        for size, width in (("wide", WIDE - 60), ("narrow", NARROW - 30))
    )
    body = Markup("").join(
        Markup('<tr><th scope="row">{}</th><td class="num">{}</td></tr>').format(*row) for row in rows
    )
    head = Markup('<tr><th scope="col">{}</th><th scope="col" class="num">{}</th></tr>').format(*heads)
    table = Markup('<table class="table"><thead>{}</thead><tbody>{}</tbody></table>').format(head, body)
    said = Text(en="The same in numbers", zh="以数字显示").say(lang)
    fold = Markup('<details class="why"><summary>{}</summary>{}</details>').format(said, table)
    return Markup('<figure class="chart"><figcaption>{}</figcaption>{}{}</figure>').format(title, drawings, fold)


# Words and numbers ----------------------------------------------------------------------------------------------


def middle_score(scores: Sequence[float]) -> float:
    """The best score that at least half of a class has or exceeds."""
    return sorted(scores, reverse=True)[math.ceil(len(scores) / 2) - 1]


def _bins(scores: Sequence[float], max_score: float, count: int) -> list[tuple[float, float, int]]:
    """(from, below, students); full marks are in the last one."""
    filled = [0] * count
    for score in scores:
        filled[min(max(int(score / max_score * count), 0), count - 1)] += 1
    edges = [max_score * i / count for i in range(count + 1)]
    return list(zip(edges, edges[1:], filled, strict=False))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _percent(share: float) -> str:
    """Never 100 % while one is missing, never 0 % while one is there."""
    rounded = round(100 * share)
    if rounded == 100 and share < 1:
        rounded = 99
    if rounded == 0 and share > 0:
        rounded = 1
    return f"{rounded} %"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
