"""A real service and a real browser: `grader serve` with the demo course, and Chromium driven by Playwright.

The browser is Debian's (`apt-get install chromium`), or the one that GRADER_CHROMIUM names. axe-core comes from npm
(`npm ci --prefix tests/browser`). Where one of them is missing the tests are skipped, and fail with CI=true.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.conftest import RUNNER, absent

PROJECT = Path(__file__).resolve().parents[2]
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
START_S = 90


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running service. links: one-time sign-in links by login."""

    url: str
    links: dict[str, str]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if not RUNNER.exists():
        absent("there is no .venv-runner; run: make setup")
    folder = tmp_path_factory.mktemp("served")
    environment = {**os.environ, "GRADER_DATA_DIR": str(folder), "GRADER_PORT": "0", "PYTHONUNBUFFERED": "1"}
    command = [str(Path(sys.executable).with_name("grader")), "serve", "--demo"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True)  # type: ignore[union-attr]
    reader.start()
    try:
        found = _links(process, lines)
        if found is None:
            absent(f"the service did not start: {''.join(lines)}")
            return
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        ended = process.wait(30)
        reader.join(10)
        process.stdout.close()
    assert ended == 0


def _links(process: subprocess.Popen[str], lines: list[str]) -> Served | None:
    """What `grader serve` printed, once everybody's link is there."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        text = "".join(lines)
        links = dict(re.findall(r"\(login (\S+)\)\s+(http://\S+/sign-in/link/\S+)\s", text))
        if len(links) >= 4:
            url = next(iter(links.values())).partition("/sign-in")[0]
            return Served(url=url, links=links)
        time.sleep(0.1)
    return None


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = os.environ.get("GRADER_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        absent("there is no chromium; run: apt-get install chromium, or set GRADER_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-background-networking", "--disable-quic"]
        )
        yield browser
        browser.close()


Visit = Callable[..., Page]


def _is_fault(message: ConsoleMessage) -> bool:
    """Errors of scripts and of the content security policy. A page that is refused with 4xx is the tests' doing."""
    return message.type == "error" and "the server responded with a status of 4" not in message.text


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """visit(**options of a browser context) -> a page whose script errors and refused resources fail the test."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def make(**options: Any) -> Page:
        context = chromium.new_context(**{"locale": "en-GB", "viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if _is_fault(message) else None)
        return page

    yield make
    for context in contexts:
        context.close()
    assert faults == []
