"""A PACS that offers less than is configured, or answers with what cannot be read, ends a search and a batch in words."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.dataelem import DataElement

from builders.archive import CURRENT, earlier_study, earlier_uid, fetching_settings
from builders.batches import plan
from builders.clock import FakeClock
from builders.index import build_index, received
from builders.scripted_archive import Script, scripted_archive, series_answer, study_answer
from config.settings import Peer, Settings
from dicom_node.batch.run import BatchRunner
from dicom_node.check import Outcome, check_query_retrieve
from dicom_node.listen.receive import Receiver
from dicom_node.retrieve.duty import FetchStore, archive_for
from dicom_node.retrieve.fetch import Fetcher
from dicom_node.retrieve.waiting import FetchWatch
from storage.batch_records import BatchState, BatchStudyState, BatchView
from storage.fetch_records import FetchState, PriorFetchView
from storage.index import Index
from storage.lifecycle import Event
from storage.records import PatientKey

DAY = "20251201"
PRIOR = earlier_uid(DAY)
# What cannot be read is nonsense to pydicom too, which warns; a node that runs takes no notice.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR IS")

_IMAGES_IN_SERIES = 0x00201209
"""Number of Series Related Instances."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A node that asks a PACS by C-GET, under a clock that stands."""

    settings: Settings
    peer: Peer
    index: Index
    clock: FakeClock

    def search(self, *, seconds: int) -> PriorFetchView:
        """How the search of the current study stands after looks at every second."""
        self.index.apply(CURRENT, Event.COMPLETED, why="all here")
        watch = FetchWatch(self.settings, self.index)
        watch.look(CURRENT)
        archive = archive_for(self.peer, self.settings, receiver=self._receiver(), clock=self.clock)
        fetcher = Fetcher(self.settings, self.index, archive, clock=self.clock)
        for _ in range(seconds):
            fetcher.fetch_due()
            self.clock.advance(1)
        (search,) = watch.look(CURRENT)
        return search

    def batch(self, *, looks: int, every_s: float) -> BatchView:
        """How a batch of the earlier study stands after so many looks."""
        number = self.index.batches.begin(plan(peer=self.peer.name), {PRIOR: DAY})
        archive = archive_for(self.peer, self.settings, receiver=self._receiver(), clock=self.clock)
        runner = BatchRunner(self.settings, self.index, archive, clock=self.clock)
        for _ in range(looks):
            runner.run_due()
            self.clock.advance(every_s)
        return self.index.batches.view(number)

    def _receiver(self) -> Receiver:
        return FetchStore(self.settings.data_dir, self.index).receiver(self.settings, clock=self.clock)


@pytest.fixture
def running() -> Iterator[ExitStack]:
    """Ends with the test what it began."""
    with ExitStack() as stack:
        yield stack


def asking(folder: Path, running: ExitStack, script: Script) -> Asking:
    """A node with the current study, of the patient of `ct_instance`, that asks a PACS with this script."""
    peer = running.enter_context(scripted_archive(script, query_retrieve="get"))
    clock = FakeClock()
    index = build_index(folder, clock)
    running.callback(index.close)
    who = {"patient_name": "Phantom^Petra", "birth_date": "19700101", "sex": "F"}
    index.record_received([received(CURRENT, patient=PatientKey(patient_id="P1", issuer="HOSPITAL"), **who)])
    return Asking(settings=fetching_settings(folder, peer), peer=peer, index=index, clock=clock)


def script(**changes: object) -> Script:
    """A PACS that has one earlier study."""
    study = earlier_study(DAY)
    return Script(studies=[study_answer(study)], series=[series_answer(study)], images=study, **changes)


def nonsense() -> Script:
    """It counts infinitely many images: the text goes out as an LO, and is read as the IS that it should be."""
    bent = script()
    for answer in bent.series:
        answer[_IMAGES_IN_SERIES] = DataElement(_IMAGES_IN_SERIES, "LO", "inf")
    return bent


def test_a_pacs_without_c_get_fails_the_search_at_once(tmp_path: Path, running: ExitStack) -> None:
    """It takes CT images, so the association stands: asked again every second it would never give one."""
    bent = script(gives=False)
    search = asking(tmp_path, running, bent).search(seconds=12)
    assert (search.state, search.tries) == (FetchState.FAILED, 1)
    (found,) = search.found
    assert "archive: does not offer this node the retrieval that query_retrieve names" in found.words
    assert bent.asked == ["STUDY", "SERIES"]


def test_a_pacs_without_c_get_pauses_the_batch(tmp_path: Path, running: ExitStack) -> None:
    """The words say what is to be put right."""
    bent = script(gives=False)
    view = asking(tmp_path, running, bent).batch(looks=12, every_s=1)
    assert view.state is BatchState.PAUSED
    assert "does not offer this node the retrieval that query_retrieve names" in view.words
    assert bent.asked == ["SERIES"]


def test_check_says_that_a_pacs_has_no_c_get(tmp_path: Path, running: ExitStack) -> None:
    """In the words of the search."""
    node = asking(tmp_path, running, script(gives=False))
    result = check_query_retrieve(node.peer, node.settings)
    assert result.outcome is Outcome.FAILED
    assert "does not offer this node the retrieval that query_retrieve names" in result.detail


def test_an_answer_that_cannot_be_read_is_a_try_of_the_search(tmp_path: Path, running: ExitStack) -> None:
    """Four tries, further apart each time, then it is given up."""
    bent = nonsense()
    search = asking(tmp_path, running, bent).search(seconds=120)
    assert (search.state, search.tries) == (FetchState.FAILED, 4)
    assert search.words == "archive: its answer could not be read [OverflowError]"
    assert bent.asked == ["STUDY", "SERIES"] * 4


def test_an_answer_that_cannot_be_read_is_a_try_of_the_study_in_a_batch(tmp_path: Path, running: ExitStack) -> None:
    """After four the batch goes on without the study."""
    bent = nonsense()
    view = asking(tmp_path, running, bent).batch(looks=10, every_s=3600)
    assert view.studies == {BatchStudyState.FAILED: 1}
    assert bent.asked == ["SERIES"] * 4
