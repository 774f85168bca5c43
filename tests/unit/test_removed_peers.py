"""What is open for a peer that is taken out of the configuration, or out of one of its roles, comes to an end."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from builders.clock import FakeClock
from builders.index import (
    build_index,
    choosy,
    claim,
    claimed_study,
    database_url,
    received,
    result_files,
    state_of,
    to,
    view_of,
    whole_result,
)
from config.settings import NodeSettings, Peer, PriorsSettings, Settings, StorageSettings
from dicom_node.removed_peers import RemovedPeersSweep
from dicom_node.retrieve.waiting import FetchWatch
from dicom_node.worker_duties import WorkerDuties
from storage.commitment_records import CommitmentCounts
from storage.database import open_engine
from storage.fetch_records import FetchState, FoundPriorView, FoundState
from storage.index import Index
from storage.lifecycle import Event, State
from storage.retention import old_studies

pytestmark = pytest.mark.usefixtures("each_engine")

CURRENT, PRIOR = "1.2.3", "1.2.8"
DAY_S = 86_400.0
GIVEN_UP_S = 7 * DAY_S
PACS = Peer(
    name="PACS",
    ae_title="PACS",
    host="127.0.0.1",
    port=104,
    receives_results=True,
    storage_commitment=True,
    query_retrieve="get",
)
OTHER = Peer(name="OTHER", ae_title="OTHER", host="127.0.0.1", port=104, receives_results=True)


class Site:
    """An index, and the peers that are configured now."""

    def __init__(self, folder: Path) -> None:
        """Empty."""
        self.folder = folder
        self.clock = FakeClock()
        self.index: Index = build_index(folder, self.clock)
        self.engine: Engine = open_engine(database_url(folder))

    def processed(self, *destinations: str) -> None:
        """A study whose result waits for these."""
        claimed = claimed_study(self.index)
        self.index.finish_succeeded(claimed, result_files(), destinations=to(*destinations), why="1 lesion")

    def deliver(self, destination: str) -> None:
        """It takes all that is due."""
        for one in self.index.due_deliveries(destination=destination, limit=9):
            self.index.delivery_succeeded(one.delivery_id, "0x0000")

    def settings(self, *peers: Peer, rerun_when_late: bool = False) -> Settings:
        """With these peers."""
        priors = PriorsSettings(rerun_when_late=rerun_when_late)
        storage = StorageSettings(database_url=database_url(self.folder))
        return Settings(node=NodeSettings(data_dir=self.folder), storage=storage, peers=peers, priors=priors)

    def look(self, *peers: Peer, after_s: float = 0, rerun_when_late: bool = False) -> None:
        """What the worker does some time later, with these peers."""
        self.clock.advance(after_s)
        settings = self.settings(*peers, rerun_when_late=rerun_when_late)
        RemovedPeersSweep(settings, self.engine, clock=self.clock).look()
        FetchWatch(settings, self.index).tidy()

    def progress(self) -> dict[str, str]:
        """State of the deliveries by destination."""
        return {one.destination: one.state for one in view_of(self.index).deliveries}

    def begin_fetch(self, *, state: FoundState | None = None) -> int:
        """A study went on without an earlier one, which is fetched for it, or came so."""
        self.index.record_received([received(CURRENT)])
        self.index.apply(CURRENT, Event.COMPLETED, why="quiet")
        self.index.fetches.plan(CURRENT, peers=["PACS"])
        task = self.index.fetches.take_due("PACS")
        assert task is not None
        self.index.fetches.note_found(task.fetch_id, [found(FoundState.FETCHING)])
        self.index.record_received([replace(received(PRIOR), acquired_at=self.clock.now() - timedelta(days=30))])
        self.index.apply(CURRENT, Event.PRIORS_SETTLED, why="waited long enough")
        self.index.finish_refused(claim(self.index), "no")
        if state:
            self.index.fetches.end_retrieval(task.fetch_id, found(state), rerun_when_late=True)
            self.index.fetches.settle(task.fetch_id, FetchState.DONE, "ended")
        return task.fetch_id

    def kept(self) -> dict[str, str]:
        """Why retention keeps each study that is old enough."""
        old = old_studies(self.engine, before=self.clock.now() + timedelta(seconds=1))
        return {one.study_instance_uid: one.kept_because for one in old}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A fresh one."""
    return Site(tmp_path)


def found(state: FoundState) -> FoundPriorView:
    """The earlier study."""
    return FoundPriorView(study_instance_uid=PRIOR, study_date="20251203", state=state, words="", instance_count=1)


def test_results_wait_for_a_destination_that_is_gone_and_are_sent_when_it_comes_back(site: Site) -> None:
    """For as long as for one that does not answer."""
    site.processed("PACS")
    site.look(after_s=GIVEN_UP_S - 60)
    site.look(PACS.model_copy(update={"receives_results": False}), after_s=30)
    assert (state_of(site.index), site.progress()) == (State.PROCESSED, {"PACS": "waiting"})
    site.look(PACS, after_s=GIVEN_UP_S)
    site.deliver("PACS")
    assert state_of(site.index) is State.DELIVERED


@pytest.mark.parametrize("was_tried", [False, True])
def test_a_result_that_nobody_has_is_shown_as_not_delivered(site: Site, was_tried: bool) -> None:
    """It must not look as if somebody had it; who and what helps is said."""
    site.processed("PACS")
    if was_tried:
        (due,) = site.index.due_deliveries(destination="PACS", limit=9)
        site.index.delivery_failed_for_now(due.delivery_id, "0xA700", next_try_at=site.clock.now())
    site.look(OTHER, after_s=GIVEN_UP_S + 60)
    assert (state_of(site.index), site.progress()) == (State.DELIVERY_FAILED, {"PACS": "failed"})
    assert view_of(site.index).deliveries[0].last_status == "not sent: PACS receives no results any more"
    assert view_of(site.index).reason == (
        "nobody has the result: PACS receives no results any more; `dicom-node study resend` sends it to those who do"
    )
    site.look(OTHER)
    assert state_of(site.index) is State.DELIVERY_FAILED
    site.index.resend(CURRENT, destinations=to("OTHER"))
    site.deliver("OTHER")
    assert (state_of(site.index), site.progress()) == (State.DELIVERED, {"PACS": "superseded", "OTHER": "delivered"})


def test_a_result_that_another_has_is_delivered(site: Site) -> None:
    """Nothing else is expected of it."""
    site.processed("PACS", "OTHER")
    site.deliver("OTHER")
    assert state_of(site.index) is State.SENDING
    site.look(OTHER, after_s=GIVEN_UP_S + 60)
    assert (state_of(site.index), site.progress()) == (State.DELIVERED, {"PACS": "superseded", "OTHER": "delivered"})
    assert site.kept() == {CURRENT: ""}


def test_a_result_for_which_another_is_still_tried_stays_on_its_way(site: Site) -> None:
    """What becomes of that decides."""
    site.processed("PACS", "OTHER")
    site.look(OTHER, after_s=GIVEN_UP_S + 60)
    assert (state_of(site.index), site.progress()) == (State.PROCESSED, {"PACS": "superseded", "OTHER": "waiting"})
    site.deliver("OTHER")
    assert state_of(site.index) is State.DELIVERED


def test_of_two_that_are_gone_the_last_decides(site: Site) -> None:
    """Nobody has the result."""
    site.processed("PACS", "OTHER")
    site.look(after_s=GIVEN_UP_S + 60)
    assert state_of(site.index) is State.DELIVERY_FAILED
    assert "waiting" not in site.progress().values()


def test_what_stands_by_ends_too(site: Site) -> None:
    """None of it is sent any more."""
    site.index.finish_succeeded(claimed_study(site.index), whole_result(), destinations=choosy("PACS"), why="found")
    site.look(after_s=GIVEN_UP_S + 60)
    states = [one.state for one in view_of(site.index).deliveries]
    assert (set(states), states.count("failed")) == ({"failed", "superseded"}, 3)


def test_a_failed_delivery_stays_failed(site: Site) -> None:
    """The destination that refused is still there."""
    site.processed("PACS", "OTHER")
    (due,) = site.index.due_deliveries(destination="OTHER", limit=9)
    site.index.delivery_gave_up(due.delivery_id, "0xA900")
    site.look(OTHER, after_s=GIVEN_UP_S + 60)
    assert (state_of(site.index), site.progress()) == (
        State.DELIVERY_FAILED,
        {"PACS": "superseded", "OTHER": "failed"},
    )


@pytest.mark.parametrize("peers", [(), (PACS.model_copy(update={"storage_commitment": False}),)])
def test_what_nobody_asks_for_any_more_was_never_confirmed(site: Site, peers: tuple[Peer, ...]) -> None:
    """The study stays delivered and may be deleted by the rules of the site."""
    site.processed("PACS")
    site.deliver("PACS")
    site.index.commitments.plan("PACS", since=site.clock.now() - timedelta(days=1))
    site.look(*peers, after_s=GIVEN_UP_S - 60)
    assert site.index.commitments.counts_of("PACS").pending == 1
    site.look(PACS, after_s=120)
    assert site.index.commitments.counts_of("PACS").pending == 1
    site.look(*peers)
    assert site.index.commitments.counts_of("PACS") == CommitmentCounts(pending=0, resending=0, failed=0, unconfirmed=1)
    assert (state_of(site.index), site.kept()) == (State.DELIVERED, {CURRENT: ""})


@pytest.mark.parametrize("peers", [(), (PACS.model_copy(update={"query_retrieve": "none"}),)])
def test_a_search_at_an_archive_that_is_gone_times_out(site: Site, peers: tuple[Peer, ...]) -> None:
    """What came of an earlier study is put away; nothing of the patient is kept for it."""
    site.begin_fetch()
    site.look(*peers, after_s=600)
    assert (state_of(site.index, PRIOR), site.index.fetches.of_study(CURRENT)[0].is_open) == (State.RECEIVING, True)
    site.look(PACS, after_s=DAY_S)
    assert site.index.fetches.of_study(CURRENT)[0].is_open
    site.look(*peers)
    (search,) = site.index.fetches.of_study(CURRENT)
    assert (search.state, search.words) == (
        FetchState.TIMED_OUT,
        "PACS: the PACS is asked for earlier studies no more",
    )
    assert search.settled_at == site.clock.now()
    assert [one.state for one in search.found] == [FoundState.TIMED_OUT]
    assert (view_of(site.index, PRIOR).state, view_of(site.index, PRIOR).origin) == (State.SKIPPED, "fetching")
    assert site.kept() == {CURRENT: "", PRIOR: ""}


def test_an_earlier_study_that_came_late_keeps_nothing_where_no_archive_is_left(site: Site) -> None:
    """It wanted the current study to be run again."""
    site.begin_fetch(state=FoundState.FETCHED)
    assert site.kept()[CURRENT]
    site.look(rerun_when_late=True, after_s=2 * DAY_S)
    assert site.kept() == {CURRENT: "", PRIOR: ""}


def test_the_worker_looks_whatever_is_configured(site: Site) -> None:
    """Also where no peer is left."""
    site.processed("PACS")
    site.clock.advance(GIVEN_UP_S + 60)
    WorkerDuties(site.settings(), site.index, clock=site.clock).wanted()["removed peers"].make().run()
    assert state_of(site.index) is State.DELIVERY_FAILED
