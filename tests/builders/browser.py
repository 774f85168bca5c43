"""Debian's chromium, driven by Playwright, as somebody sits before the pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from builders.site import PASSWORD

CHROMIUM = shutil.which("chromium")
_WITHIN_MS = 120_000
"""For any one step: the machine of a test run has other things to do."""

expect.set_options(timeout=_WITHIN_MS)

LOOKS = {"wide-light": (1280, 860, "light"), "narrow-dark": (390, 844, "dark")}
"""Width and height of the window, and what the person's system asks for."""


@dataclass(slots=True, kw_only=True)
class Watched:
    """What the browser said and whom it asked."""

    browser: Browser
    address: str
    said: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def page(self, look: str = "wide-light") -> Page:
        """A window of its own, without cookies, that is listened to."""
        width, height, scheme = LOOKS[look]
        viewport = {"width": width, "height": height}
        context = self.browser.new_context(
            viewport=viewport, color_scheme=scheme, base_url=self.address, ignore_https_errors=True
        )
        context.set_default_timeout(_WITHIN_MS)
        page = context.new_page()
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        return page

    def assert_quiet(self) -> None:
        """No page complained, none asked another host."""
        assert self.said == []
        assert self.hosts == {self.address.split("/")[2]}


@contextmanager
def watched_browser(address: str) -> Iterator[Watched]:
    """A browser for the pages at an address; gone at the end."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian: apt install chromium)")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield Watched(browser=browser, address=address)
        finally:
            browser.close()


def log_in_by_keyboard(page: Page, name: str, password: str = PASSWORD) -> None:
    """Type name and password and press Enter; the pointer is not used."""
    page.goto("/login")
    # The focus comes with the first frame that is drawn, which a busy machine draws after the page is loaded.
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "/login" not in page.url, page.locator("main").inner_text()


def keep_picture(page: Page, name: str) -> None:
    """Keep what the window shows as a small file, where $DICOM_NODE_SCREENSHOTS names a folder."""
    folder = os.environ.get("DICOM_NODE_SCREENSHOTS")
    if folder:
        shown = Image.open(BytesIO(page.screenshot())).convert("RGB")
        shown.quantize(colors=128).save(Path(folder) / f"{name}.png", optimize=True)


def keep_photograph(page: Page, name: str) -> None:
    """The same for a window with a slice, whose greys and colours are too many for a palette."""
    folder = os.environ.get("DICOM_NODE_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.jpg", quality=85)
