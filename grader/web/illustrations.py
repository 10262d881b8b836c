"""Figures and pictures of a report: as its page names them, and as the resources that the page loads.

They are resources of their own, shown by <img>, not part of the page: drawing one takes a tenth of a second, a page
with six should still come at once, and browsers ask for those that are scrolled to. An image runs no script and can
refer to nothing outside of itself, whatever is in it. Light and dark reach it through the style that `drawing` puts
into it; on paper browsers take the light one.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from grader import drawing
from grader.drawing import Size
from grader.errors import NotFound
from grader.reports import CheckResult, Figure, Language, Picture, Report, Text

SVG, PNG = "image/svg+xml", "image/png"
Width = Literal["wide", "narrow"]
WIDTHS: dict[Width, int] = {"wide": drawing.WIDE, "narrow": drawing.NARROW}
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_PIXELS = 20_000  # of one side: what a browser can show
_STYLE = base64.b64encode(hashlib.sha256(drawing.STYLE.encode()).digest()).decode()
_NOTHING = "default-src 'none'; frame-ancestors 'none'"
_KEPT = "private, no-cache"  # may be kept, but asked for again each time: who may see it can change


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureView:
    """A figure on a page. check: the title of the check that attached it. path: below the submission's address.

    alt: what can be read from it. caption: names what has no axis to name it; mostly empty.
    """

    check: str
    name: str
    anchor: str
    path: str
    title: str
    alt: str
    caption: str
    wide: Size
    narrow: Size


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureView:
    """Something that the student's code drew. alt: says so to whoever is not that student; nobody has looked at it."""

    check: str
    path: str
    alt: str
    width: int
    height: int


def figures_of(check: CheckResult, lang: Language) -> tuple[FigureView, ...]:
    """What a page shows of a check's figures: nothing when its inputs are hidden."""
    return tuple(
        FigureView(
            check=check.title.say(lang),
            name=figure.name,
            anchor=f"figure-{check.id}-{figure.name}",
            path=figure_path(check, figure),
            title=figure.title.say(lang),
            alt=figure.alt.say(lang),
            caption=drawing.caption(figure, lang),
            wide=drawing.size(figure, drawing.WIDE),
            narrow=drawing.size(figure, drawing.NARROW),
        )
        for figure in (check.figures if check.visible else ())
    )


def pictures_of(check: CheckResult, lang: Language) -> tuple[PictureView, ...]:
    return tuple(
        PictureView(
            check=check.title.say(lang),
            path=picture_path(check, number),
            alt=Text(
                en=f"Picture drawn by the student's code while this check ran: {check.title.en}",
                zh=f"学生的代码在这项检查运行时画出的图：{check.title.zh}",
            ).say(lang),
            width=picture.width,
            height=picture.height,
        )
        for number, picture in enumerate(check.pictures if check.visible else (), start=1)
        if _is_picture(picture)
    )


def figure_path(check: CheckResult, figure: Figure) -> str:
    return f"figures/{quote(check.id, safe='')}/{quote(figure.name, safe='')}.svg"


def picture_path(check: CheckResult, number: int) -> str:
    """number: from 1, in the order in which they were drawn."""
    return f"pictures/{quote(check.id, safe='')}/{number}.png"


def _is_picture(picture: Picture) -> bool:
    sides = (picture.width, picture.height)
    return picture.png.startswith(_SIGNATURE) and all(0 < side <= _MOST_PIXELS for side in sides)


# As resources --------------------------------------------------------------------------------------------------------


def figure_answer(
    request: Request, report: Report | None, check: str, name: str, lang: Language, width: Width
) -> Response:
    """The drawing of a figure; a sentence instead where it cannot be drawn. Raises NotFound."""
    figure = next((f for c in _seen(report) if c.id == check for f in c.figures if f.name == name), None)
    if figure is None:
        raise NotFound
    pixels = WIDTHS[width]
    headers = _headers(drawing.fingerprint(figure, lang, pixels), f"{_NOTHING}; style-src 'sha256-{_STYLE}'")
    if _has(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    drawn = drawing.drawing(figure, lang, pixels) or drawing.not_drawn(lang, pixels)
    return Response(drawn, media_type=SVG, headers=headers)


def picture_answer(request: Request, report: Report | None, check: str, number: int) -> Response:
    """A picture as the student's code drew it; a browser shows it as an image or saves it. Raises NotFound."""
    found = next((c.pictures for c in _seen(report) if c.id == check), ())
    if not 1 <= number <= len(found) or not _is_picture(found[number - 1]):
        raise NotFound
    png = found[number - 1].png
    headers = _headers(hashlib.sha256(png).hexdigest(), _NOTHING)
    if _has(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = f'attachment; filename="picture-{number}.png"'
    return Response(png, media_type=PNG, headers=headers)


def _has(request: Request, tag: str) -> bool:
    """Whether the browser has kept this one. A proxy that compresses writes W/ before a tag."""
    kept = request.headers.get("if-none-match", "").split(",")
    return tag in (one.strip().removeprefix("W/") for one in kept)


def _headers(digest: str, policy: str) -> dict[str, str]:
    return {"ETag": f'"{digest[:32]}"', "Cache-Control": _KEPT, "Content-Security-Policy": policy}


def _seen(report: Report | None) -> tuple[CheckResult, ...]:
    """The checks that show what they drew. report: as far as the reader may see it."""
    return () if report is None else tuple(check for check in report.checks if check.visible)
