"""The pages as a browser shows them: Debian's chromium against the process that serves them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")

from playwright import sync_api as playwright
from playwright.sync_api import expect

from builders.accessibility import grave_faults
from builders.analysis import STUDY_UID
from builders.browser import log_in_by_keyboard, watched_browser
from builders.deadline import until
from builders.ports import free_port
from builders.site import PASSWORD, add_finished_study, pages_in
from dicom_node.retention_report import Outlook, Removed, RetentionReport, ToRemove, write_report

CHROMIUM = shutil.which("chromium")
PAGES = {
    "node": "/",
    "studies": "/studies",
    "study": f"/studies/{STUDY_UID}",
    "peers": "/peers",
    "rules": "/rules",
    "settings": "/settings",
    "health": "/components",
}
ALL_PAGES = PAGES | {"nowhere": "/nothing-here"}
LOOKS = {"wide-light": (1280, 860, "light"), "narrow-dark": (390, 844, "dark")}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)")


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of the pages of a node with a finished study, in a process of their own."""
    with pages_in(tmp_path) as pages:
        add_finished_study(pages)
    port = free_port()
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata_dir = "{tmp_path}"\n[web]\nport = {port}\n[retention]\ndays = 90\n')
    write_report(tmp_path, retention_report())
    with (tmp_path / "web.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dicom_node", "--config", str(config), "web"], stdout=log, stderr=log
        )
    try:
        until(lambda: _answers(port), within_s=60, what=f"the pages answer; see {tmp_path / 'web.log'}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0


def retention_report() -> RetentionReport:
    """What the worker leaves when it deleted something, and will."""
    at = datetime(2026, 1, 2, 12, tzinfo=UTC)
    soon = ToRemove(studies=31, size_bytes=9_800_000_000, oldest_at=at, first_study_instance_uid=STUDY_UID)
    outlook = Outlook(at=at, due=ToRemove(), soon_days=7, soon=soon, kept=2, missing_bytes=0)
    return RetentionReport(last=Removed(at=at, studies=12, size_bytes=4_300_000_000), outlook=outlook)


def _answers(port: int) -> bool:
    try:
        return bool(urlopen(f"http://127.0.0.1:{port}/login", timeout=2).status == 200)
    except OSError:
        return False


def test_the_pages_work_in_a_browser_wide_and_narrow_light_and_dark(address: str) -> None:
    """No page complains, scrolls sideways or asks another host; slices are scrolled by the keyboard."""
    said: list[str] = []
    hosts: set[str] = set()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for look, (width, height, scheme) in LOOKS.items():
            page = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme).new_page()
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
            _log_in(page, address)
            for name, path in PAGES.items():
                page.goto(address + path, wait_until="networkidle")
                assert page.evaluate("document.documentElement.scrollWidth") <= width, name
                _picture(page, f"{name}-{look}")
            _scroll_slices(page, address)
        browser.close()
    assert said == []
    assert hosts == {address.removeprefix("http://")}


def test_a_form_with_a_mistake_comes_back_and_the_console_stays_quiet(address: str) -> None:
    """A wrong password, a port that is none, rules that cannot be read, a reason of blanks: each is said on the page."""
    with watched_browser(address) as watched:
        page = watched.page()
        page.goto("/login")
        page.fill("[name=name]", "ann")
        page.fill("[name=password]", "not the password")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
        log_in_by_keyboard(page, "ann")
        page.goto("/peers")
        page.get_by_text("A modality, a router or a PACS").click()
        form = page.locator("form[action='/peers/add']")
        for name, value in (("new_name", "ct"), ("ae_title", "CT"), ("host", "10.0.0.7"), ("port", "4x")):
            form.locator(f"[name={name}]").fill(value)
        form.get_by_role("button", name="Add").click()
        expect(page.get_by_role("alert")).to_contain_text('must be a whole number (got "4x")')
        expect(form.locator("[name=host]")).to_have_value("10.0.0.7")
        page.goto("/rules")
        page.fill("[name=text]", "[[rule]")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("is not valid TOML")
        page.goto(f"/studies/{STUDY_UID}")
        page.fill("[name=reason]", "  ")
        page.get_by_role("button", name="Discard").click()
        expect(page.get_by_role("alert")).to_contain_text("say why")
        watched.assert_quiet()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_core_finds_no_serious_fault(address: str, scheme: str) -> None:
    """On every page, wide and narrow, as an administrator sees it; the login as everybody does."""
    faults: dict[str, list[str]] = {}
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width in (1280, 390):
            viewport = {"width": width, "height": 860}
            page = browser.new_context(viewport=viewport, color_scheme=scheme).new_page()
            page.goto(f"{address}/login")
            faults[f"login {width}"] = list(grave_faults(page))
            _log_in(page, address)
            faults |= {f"{name} {width}": _faults_of(page, address + path) for name, path in ALL_PAGES.items()}
        browser.close()
    assert {name: found for name, found in faults.items() if found} == {}


def _faults_of(page: playwright.Page, url: str) -> list[str]:
    page.goto(url)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    return list(grave_faults(page))


def _log_in(page: playwright.Page, address: str) -> None:
    page.goto(f"{address}/login")
    page.fill("[name=name]", "ann")
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/")


def _scroll_slices(page: playwright.Page, address: str) -> None:
    page.goto(f"{address}/studies/{STUDY_UID}", wait_until="networkidle")
    page.wait_for_selector("#outlines polyline", state="attached")
    before = page.text_content("#where")
    page.focus("#stage")
    page.keyboard.press("ArrowDown")
    assert page.text_content("#where") != before
    page.uncheck("#drawn")
    assert page.locator("#outlines polyline").count() == 0


def _picture(page: playwright.Page, name: str) -> None:
    """Keep what it looks like, where $DICOM_NODE_SCREENSHOTS names a folder."""
    folder = os.environ.get("DICOM_NODE_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")
