"""The number of a patient in a study of several: it stays theirs."""

from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import JANE, build_index, received, state_of, view_of
from builders.two_patients import JOHN, johns
from storage.index import Index
from storage.lifecycle import State
from storage.records import PatientKey, ReceivedInstance

pytestmark = pytest.mark.usefixtures("each_engine")

JIM = PatientKey(patient_id="0007", issuer="CITY")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """An empty index."""
    return build_index(tmp_path, FakeClock())


def jims(number: int) -> ReceivedInstance:
    """An instance of Jim's under Jane's Study Instance UID."""
    return received(
        number=number, patient=JIM, patient_name="Roe^Jim", birth_date="19700102", sex="M", content="of Jim"
    )


def numbered(index: Index) -> dict[int, PatientKey]:
    """Which number stands for whom."""
    return {one.number: one.patient for one in view_of(index).patients}


def test_the_same_choice_given_twice_takes_the_same_patient(index: Index) -> None:
    """Whom a straggler names does not change what the command means."""
    index.record_received([received(), johns(2), johns(3)])
    for straggler in (received(number=5), received(number=6)):
        assert numbered(index) == {1: JANE, 2: JOHN}
        index.release_held("1.2.3", 2, by="admin")
        assert (view_of(index).patient, view_of(index).instance_count) == (JOHN, 2)
        assert numbered(index) == {1: JANE, 2: JOHN}
        index.record_received([straggler])
        assert state_of(index) is State.HELD


def test_of_three_patients_each_keeps_their_number_whoever_is_chosen(index: Index) -> None:
    """And the history says by number who was."""
    index.record_received([received(), johns(2), jims(3)])
    everybody = {1: JANE, 2: JOHN, 3: JIM}
    stranger = {JANE: johns, JOHN: jims, JIM: johns}
    for turn, number in enumerate((2, 2, 3, 1, 3, 2)):
        index.release_held("1.2.3", number, by="admin")
        assert (view_of(index).patient, numbered(index)) == (everybody[number], everybody)
        assert f"patient {number} of 3 was chosen by admin" in view_of(index).history[-1].why
        index.record_received([stranger[everybody[number]](10 + turn)])


def test_a_patient_whom_some_instances_name_without_issuer_keeps_one_number(index: Index) -> None:
    """Also once another one is chosen: what is left out contradicts nothing then either."""
    poor = PatientKey(patient_id=JANE.patient_id, issuer="")
    index.record_received([received(patient=poor), received(number=2), johns(3), received(number=4, patient=poor)])
    index.release_held("1.2.3", 2, by="admin")
    assert numbered(index) == {1: JANE, 2: JOHN}
    index.record_received([received(number=5, patient=poor)])
    index.release_held("1.2.3", 1, by="admin")
    assert (view_of(index).patient, view_of(index).instance_count) == (JANE, 4)


def test_a_patient_of_whom_the_study_has_nothing_but_a_result_of_ours_has_no_number(index: Index) -> None:
    """There is nothing to take of them; who came afterwards keeps their number."""
    index.record_received([received(is_of_our_make=True), johns(2)])
    assert numbered(index) == {1: JOHN}
    index.release_held("1.2.3", 1, by="admin")
    assert (view_of(index).patient, view_of(index).instance_count) == (JOHN, 1)
