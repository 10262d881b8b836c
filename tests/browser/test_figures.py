"""A report with every kind of figure in a real browser: by day and night, on a phone, without JavaScript, on paper."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.conftest import absent
from tests.integration.drawn import ADD, drawing_kit
from tests.integration.service import Kit, program

from .conftest import AXE
from .test_pages import sizes_of

DARK_INK, LIGHT_INK = b".9059 .9137 .9255", b".102 .1137 .1294"
# What an image shows, pixel by pixel: the colour of its paper and whether there is anything on it.
LOOK = """async (img) => {
  await img.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: 60, height: 40 });
  const context = canvas.getContext("2d");
  context.drawImage(img, 0, 0, 60, 40);
  const pixels = context.getImageData(0, 0, 60, 40).data;
  const seen = new Set();
  for (let at = 0; at < pixels.length; at += 4) seen.add(pixels.slice(at, at + 3).join());
  return { paper: [...pixels.slice(0, 3)], colours: seen.size };
}"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    if not AXE.exists():
        absent("there is no axe-core; run: npm ci --prefix tests/browser")
    made = drawing_kit(tmp_path_factory.mktemp("drawn"))
    made.hand_in("ada", program(fail=[ADD]))
    made.grade()
    yield made
    made.close()


def signed_in(chromium: Browser, kit: Kit, login: str, lang: str = "en", **options: Any) -> BrowserContext:
    context = chromium.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
    with kit.browser(login) as client:
        cookies = {**dict(client.cookies.items()), "lang": lang}
    context.add_cookies([{"name": name, "value": value, "url": kit.url} for name, value in cookies.items()])
    return context


def load_all(page: Page) -> None:
    """Scrolls to every image, as somebody who reads would."""
    for image in page.locator(".drawing img").all():
        image.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize(
    ("login", "lang", "width", "scheme"),
    [
        ("ada", "en", 1200, "light"),
        ("ada", "zh", 390, "dark"),
        ("tina", "en", 1200, "dark"),
        ("tina", "zh", 640, "light"),
    ],
)
def test_figures_are_seen_and_accessible(
    drawn: Kit, chromium: Browser, login: str, lang: str, width: int, scheme: Any
) -> None:
    viewport: Any = {"width": width, "height": 900}
    context = signed_in(chromium, drawn, login, lang, viewport=viewport, color_scheme=scheme)
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    page.goto(f"{drawn.url}/submissions/1")
    load_all(page)
    images = page.locator(".drawing:not(.own) img")
    assert images.count() == 6
    paper = [255, 255, 255] if scheme == "light" else [22, 25, 29]
    for image in images.all():
        look = image.evaluate(LOOK)
        assert look["paper"] == pytest.approx(paper, abs=2)  # scaled down, so a colour may be rounded
        assert look["colours"] > 3
        assert ("narrow" in image.evaluate("img => img.currentSrc")) == (width < 736)
        assert image.evaluate("img => img.getBoundingClientRect().right <= document.documentElement.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert page.evaluate("axe.run().then(found => found.violations.map(v => v.id + ' ' + v.nodes[0].html))") == []
    assert faults == []
    context.close()


def test_the_first_screen_does_not_wait_for_figures_further_down(drawn: Kit, chromium: Browser) -> None:
    context = signed_in(chromium, drawn, "ada", viewport={"width": 390, "height": 700})
    sizes = sizes_of(context.new_page(), f"{drawn.url}/submissions/1")
    assert sum(sizes.values()) < 150_000, sizes
    context.close()


def test_the_words_of_a_figure_can_be_unfolded_and_its_check_leads_to_it(drawn: Kit, chromium: Browser) -> None:
    context = signed_in(chromium, drawn, "ada", java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{drawn.url}/submissions/1")
    figure = page.locator("#figure-add_works-loss")
    figure.get_by_text("What the figure shows").click()
    assert "Yours goes from" in figure.locator("details p").inner_text()
    page.locator("#check-add_works summary").first.click()
    page.locator("#check-add_works").get_by_role("link", name=re.compile("^Figure: ")).click()
    assert page.url.endswith("#figure-add_works-loss")
    assert figure.locator("img").evaluate("img => img.complete && img.naturalWidth > 0")
    context.close()


def test_on_paper_figures_are_dark_on_white_whatever_the_screen_was(
    drawn: Kit, chromium: Browser, tmp_path: Path
) -> None:
    context = signed_in(chromium, drawn, "ada", color_scheme="dark")
    page = context.new_page()
    page.goto(f"{drawn.url}/submissions/1")
    load_all(page)
    colours = b" ".join(
        re.findall(rb"[\d.]+ [\d.]+ [\d.]+ (?:rg|RG)\b", b" ".join(_streams(page.pdf(path=tmp_path / "report.pdf"))))
    )
    assert LIGHT_INK in colours
    assert DARK_INK not in colours
    context.close()


def _streams(paper: bytes) -> Iterator[bytes]:
    for found in re.finditer(rb"stream\r?\n(.*?)endstream", paper, re.DOTALL):
        try:
            yield zlib.decompress(found[1])
        except zlib.error:
            continue
