"""Pages in English and Chinese: which language, its texts, dates and numbers, and the templates that use them.

English sentences are the message ids. The Chinese ones stand in locale/zh/*.po, which are compiled in memory when first
needed, so there is no compiled file that could be older than its source.
"""

from __future__ import annotations

import functools
import hashlib
import io
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final, Literal

from babel import Locale
from babel.dates import format_datetime, format_timedelta, get_timezone_name
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from grader.reports import Language
from grader.web.views import Shell

HERE: Final = Path(__file__).resolve().parent
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")
LOCALES: Final[dict[Language, Locale]] = {"en": Locale("en"), "zh": Locale("zh", script="Hans")}
_PATTERNS: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "full": "EEE d MMM yyyy, HH:mm",
        "zoned": "EEE d MMM yyyy, HH:mm zzzz",
        "short": "d MMM, HH:mm",
        "seconds": "d MMM yyyy, HH:mm:ss",
    },
    "zh": {
        "full": "yyyy年M月d日 EEE HH:mm",
        "zoned": "yyyy年M月d日 EEE HH:mm（zzzz）",
        "short": "M月d日 HH:mm",
        "seconds": "yyyy年M月d日 HH:mm:ss",
    },
}


def choose(cookie: str | None, accept_language: str | None) -> Language:
    """The language of a page: the one chosen before, else the browser's favourite that is here, else English."""
    for lang in LANGUAGES:
        if cookie == lang:
            return lang
    wishes = [_wish(entry) for entry in (accept_language or "").split(",")[:20]]
    for _, name in sorted(wishes, key=lambda wish: -wish[0]):
        for lang in LANGUAGES:
            if name.partition("-")[0] == lang:
                return lang
    return "en"


def _wish(entry: str) -> tuple[float, str]:
    """One entry of Accept-Language: how much it is wanted, and what. What cannot be read is not wanted."""
    name, _, quality = entry.strip().lower().partition(";")
    try:
        weight = float(quality.strip().removeprefix("q=")) if quality else 1.0
    except ValueError:
        weight = 0.0
    return (weight, name) if weight > 0 else (0.0, "")


@functools.cache
def translations(lang: Language) -> Translations:
    """The texts of a language, all files of its folder together."""
    made = [_compiled(path, lang) for path in sorted((HERE / "locale" / lang).glob("*.po"))]
    for other in made[1:]:
        made[0].merge(other)
    return made[0] if made else Translations()


def _compiled(path: Path, lang: Language) -> Translations:
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=LOCALES[lang]))
    compiled.seek(0)
    return Translations(compiled)


def when(at: datetime, shell: Shell, form: str = "full", tz: tzinfo | None = None) -> Markup:
    """A moment as an HTML time element. form: full, zoned (the zone named), short or seconds. tz: else the page's."""
    locale = LOCALES[shell.lang]
    text = format_datetime(at, _PATTERNS[shell.lang][form], tzinfo=tz or shell.tz, locale=locale)
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(timespec="seconds"), text)


def relative(at: datetime, shell: Shell) -> str:
    """A moment as seen from now: "in 3 days", "2 hours ago"."""
    delta = at - shell.now
    unit: Literal["minute", "second"] = "minute" if abs(delta) >= timedelta(minutes=1) else "second"
    return format_timedelta(delta, granularity=unit, threshold=1.5, add_direction=True, locale=LOCALES[shell.lang])


def zone_name(shell: Shell) -> str:
    """The time zone that a page's times are in, for people."""
    return get_timezone_name(shell.now.astimezone(shell.tz), width="long", locale=LOCALES[shell.lang])


def points(value: float, lang: Language) -> str:
    """Points, scores and other small numbers: at most two decimals, none when whole."""
    return format_decimal(value, "#,##0.##", locale=LOCALES[lang])


def percent(share: float, lang: Language) -> str:
    """A share from 0 to 1 as a whole percentage."""
    return format_percent(share, "#,##0%" if lang == "zh" else "#,##0 %", locale=LOCALES[lang])


@functools.cache
def static(name: str) -> str:
    """The address of a file of static/, with a hash of its content so that it may be kept for ever."""
    digest = hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


@pass_context
def _when(context: Context, at: datetime, form: str = "full", tz: tzinfo | None = None) -> Markup:
    return when(at, context["shell"], form, tz)


@pass_context
def _relative(context: Context, at: datetime) -> str:
    return relative(at, context["shell"])


@functools.cache
def environment(lang: Language) -> Environment:
    """The templates in one language. Macros that show moments are imported with context."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.policies["ext.i18n.trimmed"] = True
    made.install_gettext_translations(translations(lang), newstyle=True)  # type: ignore[attr-defined]
    made.globals.update(static=static, lang=lang, zone_name=zone_name, comma="，" if lang == "zh" else ", ")
    made.filters.update(
        when=_when,
        relative=_relative,
        points=lambda value: points(value, lang),
        percent=lambda share: percent(share, lang),
        say=lambda text: text.say(lang),
    )
    return made


def render(template: str, shell: Shell, page: Any) -> str:
    """One page. page: the dataclass of views that the template's first line names."""
    context = {"shell": shell, "page": page, "csrf": shell.csrf}
    return environment(shell.lang).get_template(template).render(context)
