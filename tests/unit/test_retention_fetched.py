"""What retention does with earlier studies that were fetched, whole or in part."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from builders.clock import FakeClock
from builders.index import build_index, claim, database_url, received
from config.retention import RetentionSettings
from config.settings import NodeSettings, Settings
from dicom_node.audit.events import Party
from dicom_node.audit.trail import NoTrail
from dicom_node.retention import Decision, Retention
from storage.database import open_engine
from storage.fetch_records import FetchState, FoundPriorView, FoundState
from storage.index import Index
from storage.lifecycle import Event

pytestmark = pytest.mark.usefixtures("each_engine")

CURRENT, PRIOR = "1.2.9", "1.2.8"
YEARS = timedelta(days=3650).total_seconds()


class Site:
    """A study that ended, and an earlier one of which an image was fetched for it."""

    def __init__(self, folder: Path) -> None:
        """The retrieval goes on."""
        self.folder = folder
        self.clock = FakeClock()
        self.index: Index = build_index(folder, self.clock)
        self.engine: Engine = open_engine(database_url(folder))
        self.index.record_received([received(CURRENT)])
        self.index.apply(CURRENT, Event.COMPLETED, why="quiet")
        self.index.fetches.plan(CURRENT, peers=["pacs"])
        task = self.index.fetches.take_due("pacs")
        assert task is not None
        self.fetch_id = task.fetch_id
        self.index.fetches.note_found(self.fetch_id, [found(FoundState.FETCHING)])
        self.index.record_received([replace(received(PRIOR), acquired_at=self.clock.now() - timedelta(days=30))])
        self.index.apply(CURRENT, Event.PRIORS_SETTLED, why="waited long enough")
        self.index.finish_refused(claim(self.index), "no")

    def end_retrieval(self, state: FoundState) -> None:
        """It ended so."""
        self.index.fetches.end_retrieval(self.fetch_id, found(state), rerun_when_late=False)

    def decisions(self, **rules: float) -> dict[str, Decision]:
        """What these rules do, by study."""
        settings = Settings(node=NodeSettings(data_dir=self.folder), retention=RetentionSettings.model_validate(rules))
        retention = Retention(settings, self.engine, clock=self.clock, trail=NoTrail(), by=Party(user_id="WORK"))
        return {decision.study.study_instance_uid: decision for decision in retention.decisions()}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A fresh one."""
    return Site(tmp_path)


def found(state: FoundState) -> FoundPriorView:
    """The earlier study."""
    return FoundPriorView(study_instance_uid=PRIOR, study_date="20251203", state=state, words="", instance_count=1)


@pytest.mark.parametrize("state", [FoundState.FETCHED, FoundState.FAILED, FoundState.REFUSED, FoundState.TIMED_OUT])
def test_what_was_fetched_goes_by_its_own_rule_whole_or_in_part(site: Site, state: FoundState) -> None:
    """What is not used of it lies on the disk like everything else."""
    site.end_retrieval(state)
    site.index.fetches.settle(site.fetch_id, FetchState.DONE, "ended")
    site.clock.advance(YEARS)
    decision = site.decisions(fetched_days=7)[PRIOR]
    assert (decision.is_deleted, decision.study.was_fetched) == (True, True)
    assert decision.why == "older than [retention].fetched_days = 7"
    assert not site.decisions(days=7)[PRIOR].is_deleted


def test_for_want_of_space_it_goes_too(site: Site) -> None:
    """Nobody compares with it."""
    site.end_retrieval(FoundState.FAILED)
    site.index.fetches.settle(site.fetch_id, FetchState.FAILED, "ended")
    site.clock.advance(YEARS)
    assert site.decisions(free_below_bytes=2**60, free_until_bytes=2**60)[PRIOR].is_deleted


def test_what_is_fetched_still_is_kept(site: Site) -> None:
    """Its search may try again, and gets only what is missing."""
    site.end_retrieval(FoundState.FAILED)
    site.clock.advance(YEARS)
    decision = site.decisions(fetched_days=7)[PRIOR]
    assert (decision.is_deleted, decision.why) == (False, "a search for earlier studies that found it is not over")


def test_what_is_asked_for_again_by_another_search_is_kept(site: Site) -> None:
    """The first search is over; the study that was put away then is fetched by another."""
    site.end_retrieval(FoundState.FAILED)
    site.index.fetches.settle(site.fetch_id, FetchState.FAILED, "ended")
    site.index.fetches.note_found(site.fetch_id, [found(FoundState.FETCHING)])
    site.clock.advance(YEARS)
    assert not site.decisions(fetched_days=7)[PRIOR].is_deleted
