"""In which order studies are listed, and what each asks of people."""

import re
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import build_index, claimed_study, database_url, received, result_files, to
from builders.site import pages_in
from dicom_node.web.words import colour_of, steps_of
from storage.database import open_engine
from storage.index import Index
from storage.lifecycle import State
from storage.study_lists import Standing, StudyLists, StudyQuery


@pytest.fixture
def clock() -> FakeClock:
    """Stands still."""
    return FakeClock()


@pytest.fixture
def index(tmp_path: Path, clock: FakeClock) -> Index:
    """An empty one."""
    return build_index(tmp_path, clock)


def end_analysis(index: Index, study: str, *destinations: str) -> None:
    """A study whose result waits for these."""
    claim = claimed_study(index, study)
    index.finish_succeeded(claim, result_files(f"2.25.{study}"), destinations=to(*destinations), why="analysed")


def listed(folder: Path, **query: object) -> list[tuple[str, Standing]]:
    """Study Instance UID and standing of each line, page by page."""
    lists = StudyLists(open_engine(database_url(folder)))
    found: list[tuple[str, Standing]] = []
    place = None
    while True:
        page = lists.page(StudyQuery(after=place, limit=2, **query))
        found += [(line.study_instance_uid, line.standing) for line in page.lines]
        place = page.next_place
        if place is None:
            return found


def test_analysed_study_without_anything_to_send_is_done(tmp_path: Path, clock: FakeClock, index: Index) -> None:
    """It comes after what is under way, however long it stands there."""
    for number in range(1, 4):
        end_analysis(index, f"1.2.{number}")
        clock.advance(60)
    end_analysis(index, "1.2.8", "PACS")
    clock.advance(60)
    index.record_received([received("1.2.9")])
    under_way = [("1.2.8", Standing.UNDER_WAY), ("1.2.9", Standing.UNDER_WAY)]
    done = [("1.2.3", Standing.DONE), ("1.2.2", Standing.DONE), ("1.2.1", Standing.DONE)]
    assert listed(tmp_path) == under_way + done
    assert listed(tmp_path, states=(State.PROCESSED,)) == under_way[:1] + done


@pytest.mark.parametrize(("destinations", "colour"), [((), "quiet"), (("PACS",), "busy")])
def test_mark_for_sending_says_whether_anything_is_to_be_sent(
    tmp_path: Path, index: Index, destinations: tuple[str, ...], colour: str
) -> None:
    """Analysed as it is in both cases."""
    end_analysis(index, "1.2.3", *destinations)
    (line,) = StudyLists(open_engine(database_url(tmp_path))).page(StudyQuery()).lines
    assert colour_of(line) == colour
    assert [step.colour for step in steps_of(line)] == ["good", "good", "good", colour, ""]


@pytest.mark.parametrize(("destinations", "colour"), [((), "quiet"), (("PACS",), "busy")])
def test_the_page_of_a_study_has_the_colour_that_it_has_in_the_list(
    tmp_path: Path, destinations: tuple[str, ...], colour: str
) -> None:
    """At its head, and as the last step of its history."""
    with pages_in(tmp_path) as pages:
        end_analysis(pages.index, "1.2.3", *destinations)
        text = pages.browser().get("/studies/1.2.3").text
        listed = pages.browser().get("/studies").text
    badges = re.findall(r'class="badge (\w+)">analysed<', text)
    assert badges == [colour, colour]
    assert f'class="badge {colour}" href="/studies/1.2.3"' in listed
