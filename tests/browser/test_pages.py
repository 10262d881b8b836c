"""Every page, as people meet it: two languages, light and dark, wide and on a phone, with the accessibility checker.

Screenshots of all of them: `make screenshots` (they go to build/screenshots).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response

from tests.conftest import absent

from .conftest import AXE, PROJECT, Served
from .test_journey import STORIES, hand_in, sign_in

SHOTS = PROJECT / "build" / "screenshots"
LOOKS = [("en", 1200, "light"), ("zh", 390, "dark"), ("zh", 1200, "light"), ("en", 390, "light")]
STUDENT = (
    "/courses", "/courses/demo", "/courses/demo/assignments/numpy_autodiff",
    "/courses/demo/assignments/tensorflow_basics", "/submissions/{failed}", "/submissions/{refused}",
    "/submissions/{failed}/changes", "/account", "/account?first=1", "/nothing/here",
)  # fmt: skip
STAFF = (
    "/courses/demo", "/courses/demo/gradebook", "/courses/demo/gradebook?q=score<60", "/courses/demo/gradebook?q=a:b",
    "/courses/demo/students/ada", "/courses/demo/students/xiaohe", "/submissions/{failed}", "/submissions/{refused}",
    "/courses/demo/assignments/numpy_autodiff/statistics", "/courses/demo/assignments/tensorflow_basics/statistics",
    "/courses/demo/regrades", "/courses/demo/roster", "/courses/demo/deadlines", "/courses/demo/audit", "/system",
)  # fmt: skip


@pytest.fixture(scope="module")
def numbers(served: Served, chromium: Browser) -> dict[str, str]:
    """Submissions to look at: of a student one that failed and one that could not be graded."""
    if not AXE.exists():
        absent("there is no axe-core; run: npm ci --prefix tests/browser")
    page = chromium.new_page()
    sign_in(page, served, "ada")
    found: dict[str, str] = {}
    for name, story in (
        ("refused", "untouched_starter"),
        ("first", "two_mistakes"),
        ("failed", "divides_by_the_batch"),
    ):
        hand_in(page, served, next(p for p in (STORIES / story).iterdir() if p.name != "expected.toml"))
        page.locator("#fold-repeat, .first, .all-passed").first.wait_for(timeout=30_000)
        found[name] = page.url.rpartition("/")[2]
    page.close()
    return found


@pytest.fixture(scope="module", params=LOOKS, ids=lambda look: "-".join(map(str, look)))
def looking(request: pytest.FixtureRequest, served: Served, chromium: Browser) -> Iterator[tuple[str, dict[str, Page]]]:
    """A page of a student and one of the administrator, in one language, width and colour scheme."""
    lang, width, scheme = request.param
    pages: dict[str, Page] = {}
    for login in ("ada", "admin"):
        context = chromium.new_context(
            locale="zh-CN" if lang == "zh" else "en-GB", viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        context.add_cookies([{"name": "lang", "value": "en", "url": served.url}])
        pages[login] = context.new_page()
        sign_in(pages[login], served, login)
        context.add_cookies([{"name": "lang", "value": lang, "url": served.url}])
    yield "-".join(map(str, request.param)), pages
    for page in pages.values():
        page.context.close()


ALL = [("ada", path) for path in STUDENT] + [("admin", path) for path in STAFF]


@pytest.mark.parametrize(("login", "path"), ALL, ids=lambda value: str(value))
def test_a_page_is_accessible_and_fits(
    served: Served, looking: tuple[str, dict[str, Page]], numbers: dict[str, str], login: str, path: str
) -> None:
    name, pages = looking
    page = pages[login]
    address = path.format(**numbers)
    page.goto(served.url + address)
    if os.environ.get("GRADER_SCREENSHOTS"):
        SHOTS.mkdir(parents=True, exist_ok=True)
        safe = "".join(c if c.isalnum() else "_" for c in path).strip("_")
        page.screenshot(path=SHOTS / f"{login}-{safe}-{name}.png", full_page=True)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    said = [f"{v['id']}: {v['help']} {[node['target'] for node in v['nodes']][:3]}" for v in found["violations"]]
    assert said == []
    width = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert width[0] <= width[1], "the page scrolls sideways"
    lang = page.evaluate("document.documentElement.lang")
    assert lang == ("zh-Hans" if name.startswith("zh") else "en")


def test_the_sign_in_page_is_accessible(served: Served, chromium: Browser) -> None:
    if not AXE.exists():
        absent("there is no axe-core; run: npm ci --prefix tests/browser")
    page = chromium.new_page()
    page.goto(f"{served.url}/sign-in")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert page.evaluate("axe.run().then(found => found.violations.map(v => v.id))") == []
    page.close()


def test_pages_are_light_and_need_one_request_to_show(
    served: Served, chromium: Browser, numbers: dict[str, str]
) -> None:
    """Under 150 kB with everything they load; the first screen needs the page and its stylesheet, no other host."""
    for login, paths in (("ada", STUDENT), ("admin", STAFF)):
        page = chromium.new_page()
        sign_in(page, served, login)
        signed_in = page.context.storage_state()
        page.close()
        for path in paths:
            context = chromium.new_context(viewport={"width": 1200, "height": 900}, storage_state=signed_in)
            sizes = sizes_of(context.new_page(), served.url + path.format(**numbers))
            assert all(url.startswith(served.url) for url in sizes), sizes
            assert sum(sizes.values()) < 150_000, f"{path}: {sizes}"
            assert len(sizes) <= 6, sizes
            context.close()


def sizes_of(page: Page, address: str) -> dict[str, int]:
    """Bytes of everything that a page loads, by address."""
    found: dict[str, int] = {}

    def keep(answer: Response) -> None:
        found[answer.url] = len(answer.body())

    page.on("response", keep)
    page.goto(address, wait_until="networkidle")
    return found


def test_two_hundred_percent_zoom_needs_no_sideways_scroll(
    served: Served, chromium: Browser, numbers: dict[str, str]
) -> None:
    """A window of 1280 pixels at 200 % has 640 to lay out."""
    context = chromium.new_context(viewport={"width": 640, "height": 450}, device_scale_factor=2)
    page = context.new_page()
    sign_in(page, served, "ada")
    for path in STUDENT:
        page.goto(served.url + path.format(**numbers))
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
    context.close()


def test_a_report_prints_with_everything_open(
    served: Served, chromium: Browser, numbers: dict[str, str], tmp_path: Path
) -> None:
    page = chromium.new_page()
    sign_in(page, served, "ada")
    page.goto(f"{served.url}/submissions/{numbers['failed']}")
    page.emulate_media(media="print")
    paper = page.pdf(path=tmp_path / "report.pdf")
    assert paper.startswith(b"%PDF")
    assert not page.locator("header.site form").first.is_visible()
    page.close()
