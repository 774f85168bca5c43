"""Slices and contours of a study: of the result that the page shows, and for nobody who may not look."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.analysis import STUDY_UID
from builders.index import claim, view_of
from builders.site import Pages, add_finished_study, form_token, pages_in
from builders.two_patients import johns
from storage.lifecycle import Event

FIRST = f"/studies/{STUDY_UID}/revisions/1"
PATHS = ("contours.json", "slices/3.jpg")


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    """Pages on loopback that ask for no login, with a finished study."""
    with pages_in(tmp_path) as made:
        add_finished_study(made)
        yield made


def run_again(pages: Pages) -> None:
    """The study runs once more, to the same files."""
    result = view_of(pages.index, STUDY_UID).result
    assert result is not None
    pages.index.apply(STUDY_UID, Event.RETRIED, why="test")
    pages.index.apply(STUDY_UID, Event.PRIORS_SETTLED, why="none")
    pages.index.finish_succeeded(claim(pages.index), result.files, destinations=(), why="3 lesions")


def test_a_study_shows_slices_with_contours(pages: Pages) -> None:
    """What the radiologist asks about."""
    browser = pages.logged_in("vera")
    picture = browser.get(f"{FIRST}/slices/3.jpg")
    assert picture.headers["content-type"] == "image/jpeg" and picture.content[:2] == b"\xff\xd8"
    contours = browser.get(f"{FIRST}/contours.json").json()
    assert (contours["height"], contours["width"]) == (60, 64)
    assert {number for lines in contours["slices"].values() for number, _ in lines} == {1, 2, 3}


@pytest.mark.parametrize("path", ["slices/20.jpg", "slices/-1.jpg", "slices/0.jpg?window=other"])
def test_a_slice_that_is_not_there_is_not_found(pages: Pages, path: str) -> None:
    """Whatever the address says."""
    assert pages.browser().get(f"{FIRST}/{path}").status_code in {404, 400}


def test_a_page_of_an_earlier_run_gets_nothing_of_the_next_one(pages: Pages) -> None:
    """Its findings and the slices of another run do not belong together; the page of now has its own addresses."""
    browser = pages.browser()
    assert {browser.get(f"{FIRST}/{path}").status_code for path in PATHS} == {200}
    run_again(pages)
    assert {browser.get(f"{FIRST}/{path}").status_code for path in PATHS} == {409}
    assert f'data-base="/studies/{STUDY_UID}/revisions/2"' in browser.get(f"/studies/{STUDY_UID}").text
    assert {browser.get(f"/studies/{STUDY_UID}/revisions/2/{path}").status_code for path in PATHS} == {200}


def test_findings_in_one_patient_are_not_shown_under_another(pages: Pages) -> None:
    """Nor slices and contours, once the study was released to him."""
    browser = pages.browser()
    pages.index.record_received([johns(99, study=STUDY_UID)])
    pages.index.release_held(STUDY_UID, 2, by="admin")
    answer = browser.get(f"/studies/{STUDY_UID}")
    assert answer.status_code == 200 and "consolidation" not in answer.text
    assert {browser.get(f"{FIRST}/{path}").status_code for path in PATHS} == {409}


def test_a_browser_asks_about_a_slice_that_it_kept(pages: Pages) -> None:
    """It is not sent twice, and is another one where the node has another one."""
    browser = pages.browser()
    first = browser.get(f"{FIRST}/slices/3.jpg")
    assert first.headers["cache-control"] == "private, no-cache"
    kept = {"If-None-Match": first.headers["etag"]}
    again = browser.get(f"{FIRST}/slices/3.jpg", headers=kept)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert browser.get(f"{FIRST}/slices/4.jpg", headers=kept).status_code == 200


def test_a_slice_that_the_browser_kept_is_for_nobody_who_logged_out(tmp_path: Path) -> None:
    """Whoever sits down next presses the key for back and is asked who they are."""
    with pages_in(tmp_path, login=True) as pages:
        add_finished_study(pages)
        browser = pages.logged_in("vera")
        kept = {"If-None-Match": browser.get(f"{FIRST}/slices/3.jpg").headers["etag"]}
        assert browser.post("/logout", data={"form_token": form_token(browser)}).status_code == 303
        answer = browser.get(f"{FIRST}/slices/3.jpg", headers=kept)
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/login")
