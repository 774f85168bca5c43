"""What the index shows."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import NOON, build_index, claimed_study, make_ready, received
from storage.index import Index
from storage.lifecycle import Event, State
from storage.records import Heartbeat, PatientKey

pytestmark = pytest.mark.usefixtures("each_engine")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """An index with a current study of Jane's."""
    made = build_index(tmp_path, FakeClock())
    made.record_received([received("1.0", acquired_at=NOON)])
    return made


def earlier(index: Index, study: str, acquired_at: datetime | None, **changes: object) -> None:
    """One more study."""
    index.record_received([received(study, acquired_at=acquired_at, **changes)])


def priors(index: Index, study: str = "1.0") -> list[str]:
    """UIDs of the candidates within two years."""
    return [prior.study_instance_uid for prior in index.prior_candidates(study, maximum_age_days=730)]


def test_earlier_ct_studies_come_newest_first(index: Index) -> None:
    """With what the worker compares before it links one."""
    earlier(index, "1.1", NOON - timedelta(days=30), birth_date="19500103")
    earlier(index, "1.2", NOON - timedelta(days=3))
    first, second = index.prior_candidates("1.0", maximum_age_days=730)
    assert [first.study_instance_uid, second.study_instance_uid] == ["1.2", "1.1"]
    assert (second.demographics.birth_date, second.instance_count) == ("19500103", 1)
    assert (second.acquired_at, second.state) == (NOON - timedelta(days=30), State.RECEIVING)


@pytest.mark.parametrize("acquired_at", [NOON, NOON + timedelta(seconds=1), NOON - timedelta(days=731), None])
def test_a_prior_is_strictly_earlier_and_not_too_old(index: Index, acquired_at: datetime | None) -> None:
    """Neither the same instant, nor a later study, nor one without a date."""
    earlier(index, "1.1", acquired_at)
    assert priors(index) == []


def test_only_ct_is_a_prior(index: Index) -> None:
    """A radiograph cannot be aligned."""
    earlier(index, "1.1", NOON - timedelta(days=1), modality="CR")
    assert priors(index) == []


@pytest.mark.parametrize(
    "patient", [PatientKey(patient_id="4711", issuer=""), PatientKey(patient_id="1", issuer="CITY")]
)
def test_priors_share_id_and_issuer(index: Index, patient: PatientKey) -> None:
    """Never the wrong patient."""
    earlier(index, "1.1", NOON - timedelta(days=1), patient=patient)
    assert priors(index) == []


def test_patients_without_an_id_have_no_priors(index: Index) -> None:
    """They are all the same to the index, and none of them is."""
    nobody = PatientKey(patient_id="", issuer="")
    earlier(index, "1.1", NOON - timedelta(days=1), patient=nobody)
    earlier(index, "1.2", NOON, patient=nobody)
    assert priors(index, "1.2") == []


def test_a_study_in_which_two_patients_were_mixed_is_nobodys_prior(index: Index) -> None:
    """Nor has it any."""
    earlier(index, "1.1", NOON - timedelta(days=1))
    index.record_received([received("1.1", number=2, patient=PatientKey(patient_id="9", issuer="CITY"))])
    earlier(index, "1.2", NOON - timedelta(days=2))
    assert priors(index) == ["1.2"]
    assert priors(index, "1.1") == []


def test_instances_come_with_path_and_hash(index: Index) -> None:
    """What the job checks before it reads."""
    (stored,) = index.stored_instances("1.0")
    instance = received("1.0")
    assert (str(stored.path), stored.sha256) == (instance.relative_path, instance.sha256)
    assert (stored.series_instance_uid, stored.modality) == ("1.0.1", "CT")


@pytest.mark.parametrize("text", ["", "4711", "doe", "A1", "1.0", "chest"])
def test_a_study_is_found_by_what_people_know_of_it(index: Index, text: str) -> None:
    """ID, name, accession number, UID or description, in any case."""
    assert [view.study_instance_uid for view in index.find_studies(text=text)] == ["1.0"]


@pytest.mark.parametrize("text", ["%", "_", "x", "'; DROP TABLE study; --"])
def test_a_search_text_is_taken_literally(index: Index, text: str) -> None:
    """Wildcards of SQL are none here."""
    assert index.find_studies(text=text) == ()


def test_studies_are_listed_newest_first_by_state_and_limit(index: Index) -> None:
    """The page of studies needs no more."""
    earlier(index, "1.1", NOON, received_at=NOON + timedelta(seconds=1))
    assert [view.study_instance_uid for view in index.find_studies()] == ["1.1", "1.0"]
    assert [view.study_instance_uid for view in index.find_studies(limit=1)] == ["1.1"]
    make_ready(index, "1.0")
    assert [view.study_instance_uid for view in index.find_studies(state=State.READY)] == ["1.0"]


def test_every_state_is_counted(index: Index) -> None:
    """Also those that no study is in."""
    claimed_study(index, "1.1")
    assert index.counts_by_state() == dict.fromkeys(State, 0) | {State.RECEIVING: 1, State.PROCESSING: 1}


def test_the_history_tells_every_step_with_its_reason(index: Index) -> None:
    """At, event, from, to, why."""
    index.apply("1.0", Event.COMPLETED, why="no image for 60 s")
    view = index.study("1.0")
    assert view is not None
    step = view.history[-1]
    assert (step.from_state, step.to_state, step.why) == (
        State.RECEIVING,
        State.WAITING_FOR_PRIORS,
        "no image for 60 s",
    )
    assert (step.at, view.state_since, view.reason) == (NOON, NOON, "no image for 60 s")


def test_the_last_sign_of_life_of_a_process_counts(index: Index) -> None:
    """One row for each process."""
    index.beat("work", "first")
    index.beat("work", "second")
    index.beat("listen", "")
    assert index.heartbeats() == (
        Heartbeat(process="listen", pid=os.getpid(), at=NOON, info=""),
        Heartbeat(process="work", pid=os.getpid(), at=NOON, info="second"),
    )
