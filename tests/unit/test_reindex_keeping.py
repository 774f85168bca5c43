"""Which studies of an index that was made anew are not analysed by themselves."""

import os
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from builders.batches import next_line, plan
from builders.clock import FakeClock
from builders.index import build_index, view_of
from builders.kept_images import keep_images
from config.settings import NodeSettings, Settings
from dicom_node.reindex import ReindexReport, reindex
from storage.database import open_engine
from storage.fetch_records import FoundPriorView, FoundState
from storage.fetch_steps import FETCHED_WHY
from storage.files import ResultStore
from storage.index import Index
from storage.lifecycle import Event, State
from storage.records import StudyView

pytestmark = pytest.mark.sqlite

CURRENT, STUDY = "1.2.3", "7.7"
OLD = timedelta(days=300)


class Site:
    """A node that was stopped; the images of its studies are as old as is said."""

    def __init__(self, folder: Path) -> None:
        """It has an index, and received a study a minute ago."""
        self.clock = FakeClock()
        self.settings = Settings(node=NodeSettings(data_dir=folder))
        with self.index():
            pass
        self.keep(CURRENT, age=timedelta(minutes=1))

    def keep(self, study: str, *numbers: int, age: timedelta = OLD) -> None:
        """Put images into their places."""
        at_s = (self.clock.now() - age).timestamp()
        for image in keep_images(self.settings.data_dir, *(numbers or (1,)), study=study):
            os.utime(self.settings.data_dir / image.relative_path, (at_s, at_s))

    def index(self) -> closing[Index]:
        """The one in place."""
        return closing(build_index(self.settings.data_dir, self.clock))

    def reindex(self, *, anew: bool = True) -> ReindexReport:
        """As the command does."""
        return reindex(self.settings, clock=self.clock, anew=anew)

    def view(self) -> StudyView:
        """The study of the test."""
        with self.index() as index:
            return view_of(index, STUDY)

    def to_be_analysed(self) -> set[str]:
        """What the worker will take up."""
        with self.index() as index:
            return {study.study_instance_uid for study in index.studies_in(State.RECEIVING)}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """With one study that is to be analysed."""
    return Site(tmp_path)


def fetched(site: Site, *, state: FoundState = FoundState.FETCHED) -> None:
    """The study comes because another one is to be compared with it."""
    site.reindex(anew=False)
    with site.index() as index:
        index.apply(CURRENT, Event.COMPLETED, why="quiet")
        index.fetches.plan(CURRENT, peers=["pacs"])
        task = index.fetches.take_due("pacs")
        assert task is not None
        index.fetches.note_found(task.fetch_id, [found(FoundState.FETCHING)])
        site.keep(STUDY)
        site.reindex(anew=False)
        index.fetches.end_retrieval(task.fetch_id, found(state), rerun_when_late=False)


def found(state: FoundState) -> FoundPriorView:
    """What became of the study at the PACS."""
    return FoundPriorView(study_instance_uid=STUDY, study_date="20240101", state=state, words="", instance_count=1)


def discarded(site: Site) -> None:
    """An operator took the study out."""
    received(site)
    with site.index() as index:
        index.apply(STUDY, Event.DISCARDED, why="by ann: a phantom")


def received(site: Site) -> None:
    """The study was sent, long ago, and was not analysed yet."""
    site.keep(STUDY)
    site.reindex(anew=False)


def of_batch(site: Site, *, delivers: bool = False) -> None:
    """The study was got for a batch, and was not analysed yet."""
    with site.index() as index:
        index.batches.begin(plan(delivers=delivers), {STUDY: "20240101"})
        index.batches.asked(next_line(index), is_own=True)
    received(site)


def damage(site: Site, *tables: str) -> None:
    """Overwrite the first page of tables."""
    engine = open_engine(site.settings.database_url)
    with engine.connect() as connection:
        size = int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
        pages = [
            int(connection.exec_driver_sql(f"SELECT rootpage FROM sqlite_master WHERE name = '{table}'").scalar_one())
            for table in tables
        ]
    engine.dispose()
    with (site.settings.data_dir / "index.sqlite").open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * size)
            file.write(os.urandom(size))


def lose(site: Site) -> None:
    """Nothing is left of the index."""
    (site.settings.data_dir / "index.sqlite").unlink()


def test_what_was_fetched_to_be_compared_with_stays_that(site: Site) -> None:
    """It is compared with, not analysed, and falls under what retention says of fetched studies."""
    fetched(site)
    report = site.reindex()
    assert (report.not_run_again, report.not_run_as_before, report.not_run_unknown) == (0, 1, 0)
    view = site.view()
    assert (view.state, view.origin, view.reason) == (State.SKIPPED, "fetched", FETCHED_WHY)
    assert site.to_be_analysed() == {CURRENT}


def test_what_was_fetched_in_part_is_not_used_as_a_whole(site: Site) -> None:
    """Its retrieval failed half way."""
    fetched(site, state=FoundState.FAILED)
    assert site.reindex().not_run_as_before == 1
    view = site.view()
    assert (view.state, view.origin) == (State.SKIPPED, "fetching")
    assert "in part" in view.reason


def test_what_was_skipped_stays_skipped_with_its_reason(site: Site) -> None:
    """However often the index is made anew; an operator may still run it."""
    discarded(site)
    for _ in range(2):
        assert site.reindex().not_run_as_before == 1
        view = site.view()
        assert (view.state, view.reason) == (State.SKIPPED, "by ann: a phantom")
    with site.index() as index:
        assert index.apply(STUDY, Event.RETRIED, why="by ann") is State.WAITING_FOR_PRIORS


def test_an_image_that_the_old_index_did_not_know_opens_a_skipped_study_again(site: Site) -> None:
    """As it would have, had it come to the index."""
    discarded(site)
    site.keep(STUDY, 2)
    assert site.reindex().not_run_as_before == 0
    assert site.to_be_analysed() == {STUDY, CURRENT}


def test_what_was_got_for_a_batch_that_sends_nothing_sends_nothing(site: Site) -> None:
    """The new index knows of no batch; who runs it again is told what comes of it."""
    of_batch(site)
    assert site.reindex().not_run_as_before == 1
    assert (site.view().state, "sends the result" in site.view().reason) == (State.SKIPPED, True)


def test_a_result_that_was_made_for_a_batch_is_no_reason_to_send_one(site: Site) -> None:
    """Run again it would be sent: the reason says so."""
    of_batch(site)
    ResultStore(site.settings.data_dir).folder_of(STUDY).mkdir(parents=True)
    report = site.reindex()
    assert (report.not_run_again, report.not_run_as_before) == (1, 0)
    assert "sends the result" in site.view().reason


def deliver(site: Site) -> None:
    """The study was got for a batch whose results are sent."""
    of_batch(site, delivers=True)


@pytest.mark.parametrize("how", [received, deliver])
def test_what_an_index_knows_to_wait_is_analysed_whatever_its_age(site: Site, how: Callable[[Site], None]) -> None:
    """The worker may have been down for as long."""
    how(site)
    report = site.reindex()
    assert (report.not_run_as_before, report.not_run_unknown) == (0, 0)
    assert site.to_be_analysed() == {STUDY, CURRENT}


def test_a_damaged_index_still_says_what_was_fetched(site: Site) -> None:
    """As far as it opens."""
    fetched(site)
    damage(site, "instance", "history")
    report = site.reindex(anew=False)
    assert (report.rebuilt, report.not_run_as_before, report.not_run_unknown) == (True, 1, 0)
    assert site.view().origin == "fetched"


@pytest.mark.parametrize("lost", [lose, lambda site: damage(site, "study")], ids=["lost", "study rows damaged"])
@pytest.mark.parametrize("how", [fetched, discarded, of_batch, received])
def test_without_an_index_an_old_study_is_not_analysed_unasked(
    site: Site, how: Callable[[Site], None], lost: Callable[[Site], None]
) -> None:
    """Nobody knows whether it was to be; the reason says how it is, and the young one is taken as just received."""
    how(site)
    lost(site)
    report = site.reindex(anew=False)
    assert (report.not_run_as_before, report.not_run_unknown) == (0, 1)
    view = site.view()
    assert (view.state, "study retry" in view.reason) == (State.SKIPPED, True)
    assert site.to_be_analysed() == {CURRENT}


def test_a_study_whose_batch_cannot_be_read_is_not_known(site: Site) -> None:
    """It may be one whose results are not to be sent."""
    of_batch(site)
    damage(site, "batch_study")
    report = site.reindex(anew=False)
    assert (report.not_run_as_before, report.not_run_unknown) == (0, 1)


def test_the_newest_image_tells_the_age_of_a_study(site: Site) -> None:
    """It may have been arriving when the index was lost."""
    received(site)
    site.keep(STUDY, 2, age=timedelta(hours=23))
    lose(site)
    assert site.reindex(anew=False).not_run_unknown == 0
    assert site.to_be_analysed() == {STUDY, CURRENT}
