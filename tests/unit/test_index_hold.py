"""Studies whose instances name two patients."""

from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import (
    JANE,
    build_index,
    claim,
    claimed_study,
    make_ready,
    received,
    result_files,
    state_of,
    to,
    view_of,
)
from builders.two_patients import JOHN, johns
from storage.errors import IllegalTransitionError, NotHeldError, UnknownChoiceError
from storage.index import Index
from storage.lifecycle import Event, State
from storage.records import PatientKey, Recorded

pytestmark = pytest.mark.usefixtures("each_engine")

SECRETS = ("4711", "0815", "Doe", "Jane", "1950", "CITY")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """An empty index."""
    return build_index(tmp_path, FakeClock())


@pytest.mark.parametrize(
    "contradicting",
    [
        {"patient": JOHN},
        {"patient": PatientKey(patient_id="4711", issuer="COUNTY")},
        {"birth_date": "19500103"},
        {"sex": "M"},
        {"patient_name": "Roe^Jane"},
    ],
)
def test_whatever_contradicts_inside_a_study_holds_it(index: Index, contradicting: dict[str, object]) -> None:
    """The bytes are kept, nothing is run, the reason names no value."""
    answers = index.record_received([received(), received(number=2, **contradicting)])
    assert answers == (Recorded.NEW, Recorded.OTHER_PATIENT)
    view = view_of(index)
    assert (view.state, view.instance_count, view.conflict_count) == (State.HELD, 1, 1)
    assert not any(secret in view.reason for secret in SECRETS)
    assert [named.instance_count for named in view.patients] == [1, 1]
    assert index.claim_next(owner="worker", lease_s=60) is None


@pytest.mark.parametrize(
    "harmless",
    [
        {"patient_name": "DOE^JANE^^Dr"},
        {"patient_name": ""},
        {"birth_date": ""},
        {"sex": ""},
        {"patient": PatientKey(patient_id="4711", issuer="")},
        {"patient": PatientKey(patient_id="", issuer="")},
    ],
)
def test_another_spelling_or_an_absent_value_holds_nothing(index: Index, harmless: dict[str, object]) -> None:
    """Compared fairly."""
    assert index.record_received([received(), received(number=2, **harmless)]) == (Recorded.NEW,) * 2
    assert (state_of(index), view_of(index).patients) == (State.RECEIVING, ())


@pytest.mark.parametrize("is_one_batch", [True, False])
def test_a_study_learns_who_its_patient_is_and_then_no_other_fits(index: Index, is_one_batch: bool) -> None:
    """A first instance without issuer and name does not open the study to everybody."""
    poor = received(patient=PatientKey(patient_id="", issuer=""), patient_name="", birth_date="", sex="")
    batch = [poor, received(number=2), johns(3)]
    answers = index.record_received(batch) if is_one_batch else [index.record_received([one])[0] for one in batch]
    assert tuple(answers) == (Recorded.NEW, Recorded.NEW, Recorded.OTHER_PATIENT)
    assert (view_of(index).patient, view_of(index).demographics.patient_name) == (JANE, "Doe^Jane")


def test_a_running_attempt_is_stopped_and_its_result_is_not_kept(index: Index) -> None:
    """Nothing of a study of two patients leaves the node."""
    claimed = claimed_study(index)
    index.record_received([johns()])
    assert state_of(index) is State.HELD
    assert not index.renew(claimed, lease_s=60)
    assert not index.finish_succeeded(claimed, result_files(), destinations=to("PACS"), why="fine")
    assert index.due_deliveries(destination="PACS", limit=9) == ()


def test_what_was_not_sent_yet_stays_here(index: Index) -> None:
    """Also the result that was made before the other patient's instance came."""
    index.finish_succeeded(claimed_study(index), result_files(), destinations=to("PACS"), why="fine")
    index.record_received([johns()])
    assert index.due_deliveries(destination="PACS", limit=9) == ()


def test_a_held_study_is_nobodys_prior_and_has_none(index: Index) -> None:
    """It is unknown whose lungs it shows."""
    index.record_received([received(), johns()])
    assert index.prior_candidates("1.2.3", maximum_age_days=730) == ()


def test_further_instances_of_a_held_study_are_kept_and_change_nothing(index: Index) -> None:
    """A thousand of them leave no line in the history."""
    index.record_received([received(), johns()])
    before = view_of(index)
    index.record_received([received(number=3), johns(4), johns(5)])
    after = view_of(index)
    assert (after.state, after.history) == (State.HELD, before.history)
    assert (after.instance_count, after.conflict_count) == (2, 3)


def test_an_operator_takes_the_first_patient(index: Index) -> None:
    """The study goes on as it was; the other instances stay and are not used."""
    index.record_received([received(), johns()])
    assert index.release_held("1.2.3", 1, by="admin") is State.RECEIVING
    view = view_of(index)
    assert (view.patient, view.instance_count, view.has_identity_conflict) == (JANE, 1, False)
    assert (view.history[-1].event, "admin" in view.history[-1].why) == (Event.RELEASED, True)
    make_ready(index)
    assert claim(index).revision == 1


def test_an_operator_takes_the_other_patient(index: Index) -> None:
    """As where one stray image came first; what was the first patient's is no longer said of the study."""
    index.record_received([received(), johns(2), johns(3), johns(3, content="edited")])
    assert [named.instance_count for named in view_of(index).patients] == [1, 3]
    index.release_held("1.2.3", 2, by="admin")
    view = view_of(index)
    assert (view.patient, view.demographics.patient_name, view.accession_number) == (JOHN, "Doe^John", "J1")
    assert (view.instance_count, view.conflict_count) == (2, 2)
    used = {stored.sha256 for stored in index.stored_instances("1.2.3")}
    assert used == {johns(2).sha256, johns(3).sha256}
    assert [(named.patient, named.instance_count) for named in view.patients] == [(JANE, 1), (JOHN, 2)]


def test_after_the_choice_the_first_patient_is_the_stranger(index: Index) -> None:
    """A further image of hers holds the study again, and the choice can be taken back."""
    index.record_received([received(), johns()])
    index.release_held("1.2.3", 2, by="admin")
    assert index.record_received([received(number=9)]) == (Recorded.OTHER_PATIENT,)
    assert state_of(index) is State.HELD
    index.release_held("1.2.3", 1, by="admin")
    assert (view_of(index).patient, view_of(index).instance_count) == (JANE, 2)
    assert view_of(index).demographics.patient_name == "Doe^Jane"


def test_a_study_that_was_run_before_runs_again_over_what_was_chosen(index: Index) -> None:
    """The new result supersedes the old."""
    index.finish_succeeded(claimed_study(index), result_files(), destinations=to("PACS"), why="fine")
    index.record_received([johns()])
    index.release_held("1.2.3", 1, by="admin")
    assert view_of(index).revision == 2


def test_an_operator_may_say_that_all_is_of_one_person(index: Index) -> None:
    """A name that was corrected while the images were sent must not cost half of them."""
    wrong = received(number=2, patient_name="Deo^Jane")
    index.record_received([received(), wrong, received(number=3, patient_name="Deo^Jane"), johns(content="edited")])
    assert index.release_held_whole("1.2.3", by="admin") is State.RECEIVING
    view = view_of(index)
    assert (view.patient, view.instance_count, view.has_identity_conflict, view.patients) == (JANE, 3, False, ())
    assert wrong.sha256 in {stored.sha256 for stored in index.stored_instances("1.2.3")}
    assert view.conflict_count == 1
    assert index.record_received([johns(7)]) == (Recorded.OTHER_PATIENT,)
    assert state_of(index) is State.HELD


def test_a_choice_that_does_not_exist_is_refused(index: Index) -> None:
    """The error says where the numbers are."""
    index.record_received([received(), johns()])
    for number in (0, 3):
        with pytest.raises(UnknownChoiceError, match="1 to 2"):
            index.release_held("1.2.3", number, by="admin")
    assert state_of(index) is State.HELD


def test_a_study_of_one_patient_has_nothing_to_release(index: Index) -> None:
    """A mistyped UID moves no other study."""
    index.record_received([received()])
    with pytest.raises(NotHeldError):
        index.release_held("1.2.3", 1, by="admin")


def test_a_discarded_study_of_two_patients_is_not_run_by_the_way(index: Index) -> None:
    """Neither a retry nor a further image opens it; an operator may still decide."""
    index.record_received([received(), johns()])
    index.apply("1.2.3", Event.DISCARDED, why="test")
    assert index.apply("1.2.3", Event.RETRIED, why="test") is State.HELD
    index.apply("1.2.3", Event.DISCARDED, why="test")
    index.record_received([received(number=3)])
    assert state_of(index) is State.HELD
    index.apply("1.2.3", Event.DISCARDED, why="test")
    assert index.release_held("1.2.3", 1, by="admin") is State.RECEIVING


def test_complete_and_retry_lead_out_of_no_hold(index: Index) -> None:
    """Only a decision does."""
    index.record_received([received(), johns()])
    with pytest.raises(IllegalTransitionError):
        index.apply("1.2.3", Event.COMPLETED_BY_OPERATOR, why="test")
