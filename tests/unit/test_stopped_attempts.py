"""Attempts during which the index is away, as where its server is restarted."""

from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from builders.clock import FakeClock
from builders.index import build_index, database_url, make_ready, received, result_files, view_of
from config.settings import NodeSettings, PipelineSettings, Settings
from dicom_node.dispatch import Dispatcher
from dicom_node.job_records import JobOutcome
from dicom_node.stopped_attempts import StoppedAttempts
from storage.database import open_engine
from storage.errors import DiskFullError, IndexFailedError, IndexUnreachableError, StorageError
from storage.files import ResultStore
from storage.index import Index
from storage.lifecycle import State
from storage.records import Claim


class IndexThatGoesAway(Index):
    """Takes the end of no attempt while it is away."""

    trouble: StorageError | None = None

    def release(self, claim: Claim, *, why: str) -> bool:
        """As the index does, when it is there."""
        if self.trouble:
            raise self.trouble
        return super().release(claim, why=why)

    def renew(self, claim: Claim, *, lease_s: float) -> bool:
        """As the index does, when it is there."""
        if self.trouble:
            raise self.trouble
        return super().renew(claim, lease_s=lease_s)


@pytest.fixture
def index(tmp_path: Path) -> IndexThatGoesAway:
    """A study is ready."""
    clock = FakeClock()
    build_index(tmp_path, clock).close()
    made = IndexThatGoesAway(open_engine(database_url(tmp_path)), now=clock.now)
    made.record_received([received()])
    make_ready(made)
    return made


class LosingEngine:
    """One during whose attempts the index goes away."""

    def __init__(self, index: IndexThatGoesAway, trouble: StorageError | None, *, asks: bool = False) -> None:
        """Whether it asks to keep going after that."""
        self._index, self._trouble, self._asks = index, trouble, asks

    def follow(self, settings: Settings) -> None:
        """Nothing follows."""

    def run(self, *_: object, keep_going: Callable[[], bool], **__: object) -> JobOutcome | None:
        """Be stopped."""
        self._index.trouble = self._trouble
        if self._asks:
            keep_going()
        return None

    def close(self) -> None:
        """Nothing is kept."""


def dispatcher(
    folder: Path, index: Index, engine: LosingEngine, *, stopped: StoppedAttempts | None = None, lease_s: float = 600
) -> Dispatcher:
    """One that gives a study a single try."""
    settings = Settings(node=NodeSettings(data_dir=folder), pipeline=PipelineSettings(attempts=1, lease_s=lease_s))
    return Dispatcher(settings, index, results=ResultStore(folder), engine=engine, stopped=stopped)


def test_a_worker_that_lost_the_index_gives_its_attempt_back_when_it_is_active_again(
    tmp_path: Path, index: IndexThatGoesAway
) -> None:
    """Before it frees what was left open: else each restart of the server would cost a try."""
    stopped = StoppedAttempts()
    engine = LosingEngine(index, IndexUnreachableError())
    with pytest.raises(IndexUnreachableError):
        dispatcher(tmp_path, index, engine, stopped=stopped).run_next(Event())
    with pytest.raises(IndexUnreachableError):
        stopped.give_back(index)
    index.trouble = None
    stopped.give_back(index)
    assert index.release_all(why="the worker was started anew", maximum_attempts=1) == ()
    view = view_of(index)
    assert (view.state, view.reason.partition(" while")[0]) == (State.READY, "the index could not be reached")
    claim = index.claim_next(owner="w", lease_s=60)
    assert claim
    assert claim.attempt_number == 1


@pytest.mark.parametrize("asks", [False, True], ids=["at its end", "while it runs"])
def test_an_attempt_is_given_back_before_the_next_is_taken(
    tmp_path: Path, index: IndexThatGoesAway, asks: bool
) -> None:
    """Where the index was away for a moment, and nobody else became active."""
    lease_s = 0.01 if asks else 600
    works = dispatcher(tmp_path, index, LosingEngine(index, IndexUnreachableError(), asks=asks), lease_s=lease_s)
    with pytest.raises(IndexUnreachableError):
        works.run_next(Event())
    index.trouble = None
    claim = works.claim()
    assert claim
    assert claim.attempt_number == 1


def test_what_does_not_pass_by_itself_counts(tmp_path: Path, index: IndexThatGoesAway) -> None:
    """A study over which the database fails each time must not be tried for ever."""
    works = dispatcher(tmp_path, index, LosingEngine(index, IndexFailedError()))
    with pytest.raises(IndexFailedError):
        works.run_next(Event())
    index.trouble = None
    assert works.claim() is None
    assert index.release_all(why="the worker was started anew", maximum_attempts=1) == ("1.2.3",)
    assert view_of(index).state is State.PIPELINE_FAILED


def test_an_attempt_that_ended_all_the_same_stays_as_it_ended(tmp_path: Path, index: IndexThatGoesAway) -> None:
    """The answer of the index was lost, or another worker took the study away."""
    stopped = StoppedAttempts()
    claim = index.claim_next(owner="w", lease_s=60)
    assert claim
    stopped.remember(claim)
    index.finish_succeeded(claim, result_files(), destinations=(), why="1 lesion")
    stopped.give_back(index)
    assert view_of(index).state is State.PROCESSED


class FullEngine(LosingEngine):
    """One whose disk is full, that of the index too."""

    def run(self, *_: object, **__: object) -> JobOutcome | None:
        """Refuse."""
        self._index.trouble = DiskFullError()
        raise DiskFullError


def test_a_disk_that_refuses_the_index_too_costs_no_try(tmp_path: Path, index: IndexThatGoesAway) -> None:
    """The study goes back as soon as there is room."""
    works = dispatcher(tmp_path, index, FullEngine(index, None))
    with pytest.raises(DiskFullError):
        works.run_next(Event())
    index.trouble = None
    assert works.claim()
