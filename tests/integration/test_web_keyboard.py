"""The pages for those who see or move little, for each role: axe-core, and the keyboard alone."""

from collections.abc import Iterator

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")

from playwright.sync_api import Page

from builders.accessibility import grave_faults
from builders.analysis import STUDY_UID
from builders.browser import LOOKS, Watched, log_in_by_keyboard, watched_browser
from builders.engines import storage_table
from builders.ports import free_port
from builders.site import add_finished_study, pages_in
from builders.web_process import web_process

PAGES = ("/", "/studies", f"/studies/{STUDY_UID}", "/peers", "/rules", "/settings", "/components")
_ACTIONS = "main :is(a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0'])"
_MARK = """selector => { const seen = [...document.querySelectorAll(selector)].filter(one => one.checkVisibility());
  seen.forEach((one, place) => { one.dataset.place = place; }); return seen.length; }"""
_FOCUSED = "() => document.activeElement.dataset.place ?? ''"
_OUTLINED = "() => getComputedStyle(document.activeElement).outlineStyle !== 'none'"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of pages that ask for a login, with a finished study and a peer; nobody changes anything there."""
    folder = tmp_path_factory.mktemp("pages")
    with pages_in(folder) as pages:
        add_finished_study(pages)
    config, port = folder / "node.toml", free_port()
    config.write_text(
        f'[node]\ndata_dir = "{folder}"\n[web]\nport = {port}\nlogin = true\n{storage_table(folder)}'
        '[[peers]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = 1\nreceives_results = true\n'
    )
    with web_process(config, port) as running:
        yield running


@pytest.fixture
def watched(address: str) -> Iterator[Watched]:
    """A browser of its own for each test."""
    with watched_browser(address) as browser:
        yield browser


@pytest.mark.parametrize("name", ["vera", "ann"], ids=["viewer", "administrator"])
@pytest.mark.parametrize("look", LOOKS)
def test_no_role_meets_a_serious_fault_on_any_page(watched: Watched, look: str, name: str) -> None:
    """By axe-core, with everything unfolded; no page complains or asks another host."""
    page = watched.page(look)
    page.goto("/login")
    faults = {"/login": list(grave_faults(page))}
    log_in_by_keyboard(page, name)
    for path in PAGES:
        _unfolded(page, path)
        faults[path] = list(grave_faults(page))
    watched.assert_quiet()
    page.goto("/nothing-here")
    faults["nowhere"] = list(grave_faults(page))
    assert {path: found for path, found in faults.items() if found} == {}


def test_the_keyboard_reaches_every_action_and_shows_where_it_is(watched: Watched) -> None:
    """By Tab alone, on each page, as an administrator."""
    page = watched.page()
    log_in_by_keyboard(page, "ann")
    counts = {}
    for path in PAGES:
        _unfolded(page, path)
        counts[path] = count = page.evaluate(_MARK, _ACTIONS)
        reached = set(_tabbed(page, steps=count + 20))
        assert reached == {str(place) for place in range(count)}, path
    assert counts[f"/studies/{STUDY_UID}"] > 5 and counts["/peers"] > 5


def _tabbed(page: Page, *, steps: int) -> Iterator[str]:
    """What Tab comes to, each time; fails where one does not see it."""
    for _ in range(steps):
        page.keyboard.press("Tab")
        place = page.evaluate(_FOCUSED)
        if place:
            assert page.evaluate(_OUTLINED), page.evaluate("() => document.activeElement.outerHTML")
            yield place


def _unfolded(page: Page, path: str) -> None:
    page.goto(path, wait_until="networkidle")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
