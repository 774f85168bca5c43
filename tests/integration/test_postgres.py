"""The index on a PostgreSQL server does what it does on SQLite."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from builders.clock import FakeClock
from builders.index import JANE, NOON, claim, make_ready, received, result_files, state_of, to, view_of
from builders.postgres import running_postgres, why_no_postgres
from storage.database import open_engine
from storage.index import Index
from storage.lifecycle import State
from storage.migrations import migrate
from storage.patient_index import PatientIndex
from storage.records import PatientKey

OLD_JANE = PatientKey(patient_id="99", issuer="OLD")
pytestmark = pytest.mark.skipif(bool(why_no_postgres()), reason=why_no_postgres() or "there is one")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An index on a server of our own."""
    with running_postgres() as address:
        migrate(address)
        migrate(address)
        yield address


@pytest.fixture
def index(url: str) -> Iterator[Index]:
    """The index."""
    with closing(Index(open_engine(url), now=FakeClock().now)) as opened:
        yield opened


@pytest.fixture
def patients(url: str) -> Iterator[PatientIndex]:
    """What administrators say."""
    with closing(PatientIndex(open_engine(url), now=FakeClock().now, by="admin")) as opened:
        yield opened


def test_a_study_is_received_held_released_run_and_sent(index: Index) -> None:
    """The whole life, with a patient of another name in between."""
    index.record_received([received(), received(number=2, patient_name="山田^太郎", birth_date="19991231")])
    assert state_of(index) is State.HELD
    assert view_of(index).patients[1].demographics.patient_name == "山田^太郎"
    index.release_held("1.2.3", 2, by="admin")
    make_ready(index)
    index.finish_succeeded(claim(index), result_files(), destinations=to("PACS"), why="fine")
    (delivery,) = index.due_deliveries(destination="PACS", limit=9)
    index.delivery_succeeded(delivery.delivery_id, "0x0000")
    assert state_of(index) is State.DELIVERED


def test_merges_and_assignments_link(index: Index, patients: PatientIndex) -> None:
    """At once, and parted at once."""
    earlier = NOON - timedelta(days=9)
    index.record_received([received("1.4"), received("1.5", patient=OLD_JANE, acquired_at=earlier)])

    def priors() -> list[str]:
        found = index.prior_candidates("1.4", maximum_age_days=730)
        return [prior.study_instance_uid for prior in found]

    assert priors() == []
    patients.merge(JANE, OLD_JANE, although_contradicting=False)
    assert priors() == ["1.5"]
    patients.unmerge(JANE, OLD_JANE)
    patients.assign("1.5", JANE, although_contradicting=False)
    assert priors() == ["1.5"]
    assert ("1.5", True) in [(one.study_instance_uid, one.is_assigned) for one in patients.patient(JANE).studies]
    patients.unassign("1.5")
    assert priors() == []
