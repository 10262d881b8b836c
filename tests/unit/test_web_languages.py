"""Both languages say the same, in full, and dates and numbers are written as each of them does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from grader.reports import Language, Text
from grader.web import languages
from grader.web.views import Banner, CourseName, ErrorPage, Shell

NOW = datetime(2026, 11, 22, 15, 50, tzinfo=UTC)
OPTIONS = {"trimmed": "true", "trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}
Key = str | tuple[str, ...]


def shell(lang: Language = "en", **more: object) -> Shell:
    given = {"lang": lang, "path": "/x", "csrf": "c", "now": NOW, "tz": ZoneInfo("Asia/Shanghai"), **more}
    return Shell(**given)  # type: ignore[arg-type]


def in_templates() -> Iterator[Key]:
    for path in sorted((languages.HERE / "templates").rglob("*.html")):
        with path.open("rb") as file:
            for _, function, found, _ in babel_extract(file, ("_", "gettext", "ngettext"), [], OPTIONS):
                texts = tuple(
                    text for text in ([found] if isinstance(found, str) else found or ()) if isinstance(text, str)
                )
                yield texts if function == "ngettext" else texts[0]


def in_catalogues() -> Iterator[tuple[Path, Message]]:
    for path in sorted((languages.HERE / "locale" / "zh").glob("*.po")):
        with path.open("rb") as file:
            yield from ((path, message) for message in read_po(file, locale="zh_Hans_CN") if message.id)


def key_of(message: Message) -> Key:
    english, _ = _sides(message)
    return english if isinstance(message.id, (list, tuple)) else english[0]


def test_every_sentence_has_its_chinese_and_no_chinese_is_left_over() -> None:
    wanted = set(in_templates())
    there = {key_of(message) for _, message in in_catalogues() if message.string and all(message.string)}
    assert len(wanted) > 100
    assert wanted - there == set()
    assert there - wanted == set()


def test_translations_keep_the_places_for_values() -> None:
    for path, message in in_catalogues():
        english, chinese = _sides(message)
        assert _places(english) == _places(chinese), (path, message.id)
        assert not set("!！") & set("".join(english + chinese)), message.id


def _sides(message: Message) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The English and the Chinese, each with all its plural forms."""
    english, chinese = (tuple([side] if isinstance(side, str) else side or ()) for side in (message.id, message.string))
    return english, chinese


def _places(texts: tuple[str, ...]) -> set[str]:
    return set(re.findall(r"%\(\w+\)s|\{\w+\}", " ".join(texts)))


@pytest.mark.parametrize(
    ("cookie", "header", "lang"),
    [
        (None, None, "en"),
        ("zh", "en", "zh"),
        ("xx", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "de,en;q=0.5,zh;q=0.7", "zh"),
        (None, "en-GB,zh;q=0.9", "en"),
        (None, "de, fr", "en"),
        (None, "zh;q=0", "en"),
        (None, "zh;q=nonsense, ;;, ,", "en"),
        (None, "zh;q=inf", "zh"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_favourite(cookie: str | None, header: str | None, lang: str) -> None:
    assert languages.choose(cookie, header) == lang


def test_moments_are_shown_in_the_zone_of_the_course() -> None:
    shown = languages.when(NOW, shell())
    assert shown == '<time datetime="2026-11-22T15:50:00+00:00">Sun 22 Nov 2026, 23:50</time>'
    assert "2026年11月22日 周日 23:50" in languages.when(NOW, shell("zh"))
    assert languages.relative(NOW + timedelta(minutes=9), shell()) == "in 9 minutes"
    assert languages.relative(NOW - timedelta(days=2), shell("zh")) == "2天前"


def test_numbers_have_no_more_digits_than_needed() -> None:
    assert [languages.points(value, "en") for value in (44.0, 2.5, 0.333333, 1200)] == ["44", "2.5", "0.33", "1,200"]


def test_counted_things_take_their_plural() -> None:
    english, chinese = languages.translations("en"), languages.translations("zh")
    words = ("%(num)s attempt left", "%(num)s attempts left")
    assert [english.ngettext(*words, n) for n in (1, 7)] == list(words)
    assert [chinese.ngettext(*words, n) % {"num": n} for n in (1, 7)] == ["还可提交 1 次", "还可提交 7 次"]


def test_a_static_file_has_its_content_in_its_address() -> None:
    assert re.fullmatch(r"/static/grader\.css\?v=[0-9a-f]{12}", languages.static("grader.css"))


@pytest.mark.parametrize("lang", languages.LANGUAGES)
def test_the_frame_names_its_language_and_escapes_what_it_shows(lang: Language) -> None:
    course = CourseName(name="dl", title="<b>Deep</b>")
    banner = Banner(text=Text(en="Careful", zh="注意"), command="a & b")
    around = shell(lang, user="<i>Ada</i>", course=course, staff=True, banner=banner, path='/x?"')
    text = languages.render("error.html", around, ErrorPage(status=500, message="<u>no</u>", error_id="4f"))
    assert f'<html lang="{"zh-Hans" if lang == "zh" else "en"}">' in text
    assert not re.search(r"<(b|i|u)>", text)
    assert "a &amp; b" in text
    assert 'value="/x?&#34;"' in text
    assert "/courses/dl/gradebook" in text
