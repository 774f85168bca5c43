"""Slices that are slow to draw keep nobody else waiting."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from httpx import Response
from starlette.testclient import TestClient

from builders.analysis import COLUMN_SPACING_MM, FEET_FIRST, HEAD_FIRST, PRONE, ROW_SPACING_MM, Layout, StudyPlan
from builders.deadline import until
from builders.site import Pages, add_finished_study, pages_in
from dicom_node.web.slices import SliceShelf
from pipeline.study import Int16Array
from pipeline.volume import read_slice

ASKED = 60
"""More than there are threads that answer."""

WITHIN_S = 60


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    """The pages, with a study that has a result."""
    with pages_in(tmp_path) as found:
        yield found


def ask_for_slices(threads: ThreadPoolExecutor, browser: TestClient, uid: str) -> list[Future[Response]]:
    """One request each, all at once."""
    return [
        threads.submit(browser.get, f"/studies/{uid}/revisions/1/slices/{number % 20}.jpg") for number in range(ASKED)
    ]


def test_the_probes_answer_while_slices_wait(pages: Pages) -> None:
    """What more than a few wait for is refused at once, with a word on what to do; the others come."""
    uid, go_on = add_finished_study(pages), Event()

    def slow(path: Path, frame_number: int | None) -> Int16Array:
        assert go_on.wait(WITHIN_S)
        return read_slice(path, frame_number)

    pages.site = replace(pages.site, slices=SliceShelf(slow))
    with pages.browser() as browser, ThreadPoolExecutor(ASKED + 2) as threads:
        try:
            asked = ask_for_slices(threads, browser, uid)
            until(lambda: sum(one.done() for one in asked) == ASKED - 10, within_s=WITHIN_S, what="the rest is refused")
            probes = [threads.submit(browser.get, path) for path in ("/health", "/ready")]
            alive, ready = (probe.result(timeout=WITHIN_S) for probe in probes)
        finally:
            go_on.set()
        answers = [one.result(timeout=WITHIN_S) for one in asked]
    assert alive.status_code == 200 and "ready" in ready.json()
    assert sorted({answer.status_code for answer in answers}) == [200, 503]
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.headers["Retry-After"] == "1" and "again in a second" in refused.text


def test_a_slice_that_cannot_be_read_gives_its_turn_back(pages: Pages) -> None:
    """More of them than may wait are each answered for what they are."""
    uid = add_finished_study(pages)

    def damaged(path: Path, frame_number: int | None) -> Int16Array:
        raise OSError

    pages.site = replace(pages.site, slices=SliceShelf(damaged))
    browser = pages.browser()
    assert {browser.get(f"/studies/{uid}/revisions/1/slices/{number}.jpg").status_code for number in range(20)} == {404}


@pytest.mark.parametrize(
    ("layout", "edges"),
    [
        (HEAD_FIRST, {"left": "R", "right": "L", "top": "A", "bottom": "P"}),
        (FEET_FIRST, {"left": "L", "right": "R", "top": "A", "bottom": "P"}),
        (PRONE, {"left": "L", "right": "R", "top": "P", "bottom": "A"}),
    ],
)
def test_who_scrolls_is_told_the_sides_and_the_shape_of_pixels(
    pages: Pages, layout: Layout, edges: dict[str, str]
) -> None:
    """As the slices are stored, which is how they are shown."""
    uid = add_finished_study(pages, StudyPlan(layout=layout))
    told = pages.browser().get(f"/studies/{uid}/revisions/1/contours.json").json()
    assert told["edges"] == edges
    assert told["width_mm"] / told["width"] == pytest.approx(COLUMN_SPACING_MM)
    assert told["height_mm"] / told["height"] == pytest.approx(ROW_SPACING_MM)
