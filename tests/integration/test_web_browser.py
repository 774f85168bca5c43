"""The pages as a browser shows them: Debian's chromium against the process that serves them."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")

from playwright.sync_api import Page, expect

from builders.analysis import COLUMN_SPACING_MM, COLUMNS, ROW_SPACING_MM, ROWS, STUDY_UID
from builders.browser import LOOKS, Watched, keep_picture, log_in_by_keyboard, watched_browser
from builders.clock import FakeClock
from builders.engines import storage_table
from builders.index import build_index
from builders.ports import free_port
from builders.site import add_finished_study, pages_in
from builders.two_patients import johns
from builders.web_process import web_process
from dicom_node.retention_report import Outlook, Removed, RetentionReport, ToRemove, write_report

PAGES = {
    "node": "/",
    "studies": "/studies",
    "study": f"/studies/{STUDY_UID}",
    "peers": "/peers",
    "rules": "/rules",
    "settings": "/settings",
    "health": "/components",
}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A browser before the pages of a node with a finished study."""
    with pages_in(tmp_path) as pages:
        add_finished_study(pages)
    port = free_port()
    config = tmp_path / "node.toml"
    config.write_text(
        f'[node]\ndata_dir = "{tmp_path}"\n[web]\nport = {port}\n[retention]\ndays = 90\n{storage_table(tmp_path)}'
    )
    write_report(tmp_path, retention_report())
    with web_process(config, port) as address, watched_browser(address) as browser:
        yield browser


def retention_report() -> RetentionReport:
    """What the worker leaves when it deleted something, and will."""
    at = datetime(2026, 1, 2, 12, tzinfo=UTC)
    soon = ToRemove(studies=31, size_bytes=9_800_000_000, oldest_at=at, first_study_instance_uid=STUDY_UID)
    outlook = Outlook(at=at, due=ToRemove(), soon_days=7, soon=soon, kept=2, missing_bytes=0)
    return RetentionReport(last=Removed(at=at, studies=12, size_bytes=4_300_000_000), outlook=outlook)


@pytest.mark.parametrize("look", LOOKS)
def test_the_pages_work_in_a_browser_wide_and_narrow_light_and_dark(watched: Watched, look: str) -> None:
    """No page complains, scrolls sideways or asks another host; slices are scrolled by the keyboard."""
    width = LOOKS[look][0]
    page = watched.page(look)
    log_in_by_keyboard(page, "ann")
    for name, path in PAGES.items():
        page.goto(path, wait_until="networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        keep_picture(page, f"pages-{name}-{look}")
    _scroll_slices(page)
    watched.assert_quiet()


def test_a_form_with_a_mistake_comes_back_and_the_console_stays_quiet(watched: Watched) -> None:
    """A wrong password, a port that is none, rules that cannot be read, a reason of blanks: each is said on the page."""
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


def test_back_after_a_search_shows_the_whole_page(watched: Watched) -> None:
    """With header, navigation and search field."""
    page = watched.page()
    log_in_by_keyboard(page, "ann")
    page.goto("/studies", wait_until="networkidle")
    page.locator("#text").press_sequentially("1001")
    page.wait_for_url("**/studies?text=1001*")
    page.go_back()
    expect(page.locator("#text")).to_have_value("")
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.locator("nav[aria-label=Pages]")).to_have_count(1)
    watched.assert_quiet()


def test_the_first_slice_is_asked_for_once(watched: Watched) -> None:
    """By the page itself; the script draws the window that is chosen, and a slice that is gone back to, from what is there."""
    page = watched.page()
    log_in_by_keyboard(page, "ann")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.goto(f"/studies/{STUDY_UID}", wait_until="networkidle")
    first = str(page.get_attribute("#slice", "src")).rpartition("/")[2]
    assert asked.count(first) == 1
    page.select_option("#window", "soft")
    expect(page.locator("#slice")).to_have_attribute("src", re.compile("window=soft"))


def test_a_page_left_open_shows_no_slice_of_another_result(watched: Watched, tmp_path: Path) -> None:
    """Nor contours: it says that the study went on, and leads to the page as it is now."""
    page = watched.page()
    log_in_by_keyboard(page, "ann")
    page.goto(f"/studies/{STUDY_UID}", wait_until="networkidle")
    expect(page.locator("#outdated")).to_be_hidden()
    index = build_index(tmp_path, FakeClock())
    index.record_received([johns(99, study=STUDY_UID)])
    index.release_held(STUDY_UID, 2, by="admin")
    index.close()
    page.focus("#stage")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(page.locator("#outdated")).to_be_visible()
    expect(page.locator("#viewer")).to_have_count(0)
    page.get_by_role("link", name="load the page again").click()
    expect(page.locator("#outdated")).to_have_count(0)
    assert all("409" in words for words in watched.said)


def _scroll_slices(page: Page) -> None:
    page.goto(f"/studies/{STUDY_UID}", wait_until="networkidle")
    page.wait_for_selector("#outlines polyline", state="attached")
    before = page.text_content("#where")
    page.focus("#stage")
    page.keyboard.press("ArrowDown")
    assert page.text_content("#where") != before
    page.uncheck("#drawn")
    assert page.locator("#outlines polyline").count() == 0
    _look_at_slice(page)


def _look_at_slice(page: Page) -> None:
    """A letter at each edge, and pixels as wide as they are: those of the built study are not square."""
    assert [page.text_content(f"#stage [data-edge={edge}]") for edge in ("left", "right", "top", "bottom")] == [
        "R",
        "L",
        "A",
        "P",
    ]
    shown = page.locator("#slice").bounding_box()
    assert shown is not None
    width_by_height = COLUMNS * COLUMN_SPACING_MM / (ROWS * ROW_SPACING_MM)
    assert shown["width"] / shown["height"] == pytest.approx(width_by_height, rel=0.01)
